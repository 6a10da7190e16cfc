use crate::Error;
use crate::cli::StatsArgs;
use crate::console::{out, outln};
use analysis::statistics::Bootstrap;
use analysis::{Comparison, Rules, read_scores};
use std::fs::File;

/// Columns of the output: what a terminal shows without wrapping.
const WIDTH: usize = 120;

/// Compares scores that somebody else has measured.
pub(crate) fn run(args: &StatsArgs) -> Result<(), Error> {
    let path = args.scores.display();
    let file = File::open(&args.scores).map_err(Error::io("read", &args.scores))?;
    let tasks = read_scores(file).map_err(|error| Error::Usage(format!("{path}: {error}")))?;
    let known =
        |label: &str| tasks.iter().any(|task| task.arms.iter().any(|arm| arm.activation == label));
    if !known(&args.baseline) {
        let mut labels: Vec<&str> = Vec::new();
        for arm in tasks.iter().flat_map(|task| &task.arms) {
            if !labels.contains(&arm.activation.as_str()) {
                labels.push(&arm.activation);
            }
        }
        return Err(Error::Usage(format!(
            "--baseline {}: {path} has no such activation; it has {}",
            args.baseline,
            labels.join(", ")
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
        out!("{}", comparison.markdown(WIDTH));
    }
    Ok(())
}
