//! The command that the program was called with, as a user may call it again.

/// Flags with a value that change how runs are trained, and not which.
const PASSING: [&str; 5] = ["--jobs", "--threads", "--launcher", "--retries", "--seeds"];

/// The command of this sweep without its seeds, for a shell: as in `actlab sweep experiments/quick.toml`. Nothing where the
/// program does something else.
pub(crate) fn sweep() -> Option<String> {
    sweep_of(std::env::args().skip(1))
}

fn sweep_of(mut arguments: impl Iterator<Item = String>) -> Option<String> {
    if arguments.next()? != "sweep" {
        return None;
    }
    let mut words = vec!["actlab".to_owned(), "sweep".to_owned()];
    while let Some(argument) = arguments.next() {
        let (flag, value) = match argument.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_owned())),
            _ => (argument.as_str(), None),
        };
        if PASSING.contains(&flag) {
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

/// `word` as a shell reads it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.,/=:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Option<String> {
        sweep_of(words.iter().map(|word| (*word).to_owned()))
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
        assert_eq!(of(&["report", "results/quick"]), None);
        assert_eq!(of(&[]), None);
    }
}
