use crate::Error;
use crate::cli::StatsArgs;
use crate::console::{columns_or, out, outln};
use analysis::statistics::Bootstrap;
use analysis::{Comparison, Rules, read_scores};
use indexmap::IndexSet;
use std::fs::File;

/// Columns of the output at most, and where it goes to no terminal.
const WIDTH: usize = 120;

/// Activations that an error names at most.
const MOST_NAMES: usize = 30;

/// Compares scores that another program has measured.
pub(crate) fn run(args: &StatsArgs) -> Result<(), Error> {
    let path = args.scores.display();
    let file = File::open(&args.scores).map_err(Error::io("read", &args.scores))?;
    let tasks = read_scores(file).map_err(|error| Error::Usage(format!("{path}: {error}")))?;
    let labels: IndexSet<&str> =
        tasks.iter().flat_map(|task| &task.arms).map(|arm| arm.activation.as_str()).collect();
    if !labels.contains(args.baseline.as_str()) {
        let mut names: Vec<&str> = labels.iter().copied().take(MOST_NAMES).collect();
        if labels.len() > names.len() {
            names.push("…");
        }
        return Err(Error::Usage(format!(
            "--baseline {}: {path} has no such activation; it has {}",
            args.baseline,
            names.join(", ")
        )));
    }
    if args.margin.is_some_and(|margin| !(margin.is_finite() && margin > 0.0)) {
        return Err(Error::Usage("--margin must be a number above 0".to_owned()));
    }
    let rules = Rules {
        baseline: args.baseline.clone(),
        margin: args.margin,
        bootstrap: Bootstrap { resamples: args.resamples, seed: 0 },
        family: args.family.into(),
        all_pairs: args.all_pairs.how(),
        looks: None,
    };
    let comparison = Comparison::new(&tasks, &rules);
    if args.json {
        // Figures, texts and lists: nothing that JSON lacks.
        outln!("{}", serde_json::to_string_pretty(&comparison).unwrap_or_default());
    } else {
        out!("{}", comparison.markdown(columns_or(WIDTH).min(WIDTH)));
    }
    Ok(())
}
