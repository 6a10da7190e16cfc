//! What part of the machine's work was this process's, where Linux tells.

use std::fs;

/// Processor time since the last look.
#[derive(Debug)]
pub(super) struct Busy {
    last: Option<Times>,
}

/// In ticks of the clock, over all processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    own: u64,
    machine: u64,
}

impl Busy {
    pub(super) fn open() -> Self {
        Self { last: Times::now() }
    }

    /// This process's part of the processor time that was used since the last look, of at most 1; all of it
    /// where nothing was, or the system does not tell.
    pub(super) fn part(&mut self) -> f64 {
        let now = Times::now();
        part(std::mem::replace(&mut self.last, now), now)
    }
}

#[expect(clippy::cast_precision_loss, reason = "ticks are far below 2^52")]
fn part(before: Option<Times>, now: Option<Times>) -> f64 {
    match (before, now) {
        (Some(before), Some(now)) if now.machine > before.machine => {
            let own = now.own.saturating_sub(before.own) as f64;
            (own / (now.machine - before.machine) as f64).min(1.0)
        }
        _ => 1.0,
    }
}

impl Times {
    fn now() -> Option<Self> {
        let machine = fs::read_to_string("/proc/stat").ok()?;
        let own = fs::read_to_string("/proc/self/stat").ok()?;
        Some(Self { own: own_ticks(&own)?, machine: machine_ticks(&machine)? })
    }
}

/// User and system time in `/proc/self/stat`.
fn own_ticks(stat: &str) -> Option<u64> {
    // The second field is the program's name in parentheses, which may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    Some(fields.next()?.ok()? + fields.next()?.ok()?)
}

/// Time that was not idle, in `/proc/stat`.
fn machine_ticks(stat: &str) -> Option<u64> {
    let fields: Vec<u64> = stat
        .lines()
        .next()?
        .strip_prefix("cpu ")?
        .split_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    // user, nice, system, idle, iowait, irq, softirq; what follows is counted in these, or stolen.
    let [user, nice, system, _, _, irq, softirq] = *fields.first_chunk()?;
    Some(user + nice + system + irq + softirq)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_read() {
        let stat = "7 (a name) with 3) S 1 7 7 0 -1 4194560 10 0 0 0 30 12 0 0 20 0 4 0 100";
        assert_eq!(own_ticks(stat), Some(42));
        assert_eq!(machine_ticks("cpu  1 2 3 400 50 6 7 8 0 0\ncpu0 1 2 3\n"), Some(19));
        assert_eq!(machine_ticks("cpu  1 2\n"), None);
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "quotients of small integers")]
    fn a_part_is_what_was_used_since_the_last_look() {
        let times = |own, machine| Some(Times { own, machine });
        assert_eq!(part(times(10, 100), times(40, 140)), 0.75);
        assert_eq!(part(times(10, 100), times(10, 140)), 0.0);
        // The two files are read one after the other, so the process may seem to have used more than all.
        assert_eq!(part(times(10, 100), times(60, 140)), 1.0);
        // Nothing was used, or the system does not tell.
        assert_eq!(part(times(10, 100), times(10, 100)), 1.0);
        assert_eq!(part(None, times(10, 100)), 1.0);
        assert_eq!(part(times(10, 100), None), 1.0);
    }
}
