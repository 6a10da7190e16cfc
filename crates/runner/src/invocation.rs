//! The command of a sweep, as a user may call it again with other seeds.

use crate::shell::{VARIABLES, assignment, quoted, variables};

/// Flags with a value that change how runs are trained, and not which.
const PASSING: [&str; 5] = ["--jobs", "--threads", "--launcher", "--retries", "--seeds"];

/// Flags of `actlab plan` alone: those with a value, and those without.
const OF_PLAN: [&str; 2] = ["--effect", "--pilot"];
const SWITCHES_OF_PLAN: [&str; 1] = ["--json"];

/// The command of a sweep, whose words are `words`, without its seeds, for a shell: as in
/// `actlab sweep experiments/quick.toml`. Nothing where they are another command.
pub(crate) fn without_seeds(words: &[String]) -> Option<String> {
    sweep("sweep", words)
}

/// The sweep that a plan is for, whose words are `words`, without its seeds.
pub(crate) fn sweep_of_plan(words: &[String]) -> Option<String> {
    sweep("plan", words)
}

/// The words of a `command` that takes what a sweep takes, as those of a sweep without its seeds.
fn sweep(command: &str, words: &[String]) -> Option<String> {
    let (variables, words) = variables(words);
    // Flags without a value may stand before the command.
    let mut arguments = words.iter().skip(1).skip_while(|word| word.starts_with('-')).cloned();
    if arguments.next()? != command {
        return None;
    }
    let changes_runs = |word: &&String| {
        let key = word.strip_prefix(VARIABLES).and_then(|word| word.split('=').next());
        let flag = format!("--{}", key.unwrap_or_default().to_lowercase());
        !PASSING.contains(&flag.as_str())
    };
    let kept = variables.iter().filter(changes_runs).map(|word| assignment(word));
    let mut words: Vec<String> = kept.chain(["actlab".to_owned(), "sweep".to_owned()]).collect();
    while let Some(argument) = arguments.next() {
        let (flag, value) = match argument.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_owned())),
            _ => (argument.as_str(), None),
        };
        if SWITCHES_OF_PLAN.contains(&flag) {
            continue;
        }
        if PASSING.contains(&flag) || OF_PLAN.contains(&flag) {
            if value.is_none() {
                arguments.next();
            }
            continue;
        }
        if flag == "--set" {
            let value = value.or_else(|| arguments.next())?;
            if value.split('=').next().is_some_and(|key| key.trim() != "seeds") {
                words.extend(["--set".to_owned(), quoted(&value)]);
            }
            continue;
        }
        words.push(quoted(&argument));
    }
    Some(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Option<String> {
        with_variables(&[], words)
    }

    fn with_variables(variables: &[&str], words: &[&str]) -> Option<String> {
        let words = variables.iter().chain(&["actlab"]).chain(words).copied();
        without_seeds(&words.map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_sweep_is_called_again_without_its_seeds() {
        assert_eq!(of(&["sweep"]).unwrap(), "actlab sweep");
        let words =
            ["sweep", "my file.toml", "--jobs", "2", "--set", "seeds=[1,2]", "--set=margin=0.5"];
        assert_eq!(of(&words).unwrap(), "actlab sweep 'my file.toml' --set margin=0.5");
        let words = [
            "sweep",
            "a.toml",
            "--set",
            "activations=[\"relu\"]",
            "--threads=1",
            "--device",
            "cpu",
        ];
        let again = "actlab sweep a.toml --set 'activations=[\"relu\"]' --device cpu";
        assert_eq!(of(&words).unwrap(), again);
        let variables = ["ACTLAB_DATA_DIR=my data", "ACTLAB_JOBS=2", "ACTLAB_SEEDS=3"];
        let again = "ACTLAB_DATA_DIR='my data' actlab sweep a.toml";
        assert_eq!(with_variables(&variables, &["sweep", "a.toml"]).unwrap(), again);
        let plan = [
            "actlab",
            "-v",
            "plan",
            "a.toml",
            "--effect",
            "0.5",
            "--json",
            "--activations=relu,gelu",
        ];
        let plan: Vec<String> = plan.map(str::to_owned).to_vec();
        let sweep = "actlab sweep a.toml --activations=relu,gelu";
        assert_eq!(sweep_of_plan(&plan).unwrap(), sweep);
        assert_eq!(of(&["report", "results/quick"]), None);
        assert_eq!(of(&[]), None);
    }
}
