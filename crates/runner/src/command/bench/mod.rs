//! `actlab bench`: what things cost on this machine.

mod operations;
mod step;

use crate::Error;
use crate::cli::BenchCommand;
use crate::environment::cores;
use crate::guard::guard_thread;

pub(crate) fn run(command: &BenchCommand) -> Result<(), Error> {
    match command {
        BenchCommand::Step(args) => step::run(args),
        BenchCommand::Ops(args) => operations::run(args),
    }
}

/// Runs `action` on `threads` threads, or as many as there are processors.
fn on_threads<T: Send>(
    threads: Option<usize>,
    action: impl FnOnce(usize) -> T + Send,
) -> Result<T, Error> {
    let threads = threads.unwrap_or_else(cores);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .start_handler(guard_thread)
        .build()
        .map_err(|error| Error::Usage(format!("--threads {threads}: {error}")))?;
    Ok(pool.install(|| action(threads)))
}

/// Median and least of some seconds.
fn median_and_best(mut seconds: Vec<f64>) -> (f64, f64) {
    seconds.sort_by(f64::total_cmp);
    let middle = seconds.len() / 2;
    let median = if seconds.len().is_multiple_of(2) {
        (seconds[middle - 1] + seconds[middle]) / 2.0
    } else {
        seconds[middle]
    };
    (median, seconds[0])
}

#[cfg(test)]
mod tests {
    #[test]
    fn median_and_best() {
        assert_eq!(super::median_and_best(vec![3.0, 1.0, 2.0]), (2.0, 1.0));
        assert_eq!(super::median_and_best(vec![4.0, 1.0, 2.0, 3.0]), (2.5, 1.0));
    }
}
