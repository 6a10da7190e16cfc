//! Commands as a user types them.

use std::path::Path;

/// The word for a shell, in quotes where it needs them.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=,:@%+~".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Begins the name of a variable that sets a key of an experiment, as in `ACTLAB_SEEDS`.
pub(crate) const VARIABLES: &str = "ACTLAB_";

/// The command that has started this process, as a shell takes it, with the variables that set keys and hold no password.
pub(crate) fn this_command() -> String {
    let cargo = std::env::var_os("CARGO").is_some();
    let words = typed();
    let (variables, words) = variables(&words);
    let variables = variables.iter().filter(|word| !has_password(word));
    command(&variables.chain(words).cloned().collect::<Vec<_>>(), cargo)
}

/// The words of that command with the plain name of the program, for a file that another user may read: flags and
/// variables with an address that holds a name and a password are left out.
pub(crate) fn portable_words() -> Vec<String> {
    portable(typed())
}

/// The words that have started this process: variables as in `ACTLAB_SEEDS=3`, the program, its arguments.
fn typed() -> Vec<String> {
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        let word = format!("{}={}", name.to_str()?, value.to_str()?);
        // The instruction set is no key of an experiment.
        (is_variable(&word) && name != activation::simd::VARIABLE).then_some(word)
    });
    let mut words: Vec<String> = variables.collect();
    words.sort_unstable();
    words.extend(std::env::args_os().map(|word| word.to_string_lossy().into_owned()));
    words
}

fn is_variable(word: &str) -> bool {
    word.starts_with(VARIABLES) && word.contains('=')
}

/// The variables that come before the program, and the other words.
pub(crate) fn variables(words: &[String]) -> (&[String], &[String]) {
    let count = words.iter().take_while(|word| is_variable(word)).count();
    words.split_at(count)
}

fn portable(words: Vec<String>) -> Vec<String> {
    let (variables, words) = variables(&words);
    let mut kept: Vec<String> =
        variables.iter().filter(|word| !has_password(word)).cloned().collect();
    let mut words = words.iter();
    let program = words.next().cloned().unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
    kept.push(name);
    for word in words {
        if !has_password(word) {
            kept.push(word.clone());
            continue;
        }
        // Its flag, where the value is a word of its own.
        if !word.starts_with('-') && kept.last().is_some_and(|last| last.starts_with("--")) {
            kept.pop();
        }
    }
    kept
}

/// Whether there is an address with a name and a password in it.
fn has_password(word: &str) -> bool {
    let mut addresses = word.split("://").skip(1).map(|rest| rest.split('/').next());
    addresses.any(|address| address.is_some_and(|address| address.contains('@')))
}

/// `words` as a line for a shell.
pub(crate) fn line(words: &[String]) -> String {
    command(words, false)
}

/// A variable and its value for a shell.
pub(crate) fn assignment(word: &str) -> String {
    match word.split_once('=') {
        Some((name, value)) => format!("{name}={}", quoted(value)),
        None => quoted(word),
    }
}

/// The command of `words`, variables and the program first, as a shell takes it. Where cargo has started the program,
/// the user has not typed its path.
fn command(words: &[String], cargo: bool) -> String {
    let (variables, words) = variables(words);
    let (program, arguments) = match words {
        [program, arguments @ ..] => (quoted(program), arguments),
        [] => ("actlab".to_owned(), words),
    };
    let program = if cargo { "cargo run -p runner --".to_owned() } else { program };
    let variables = variables.iter().map(|word| assignment(word));
    let arguments = arguments.iter().map(|word| quoted(word));
    variables.chain([program]).chain(arguments).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{command, portable};

    #[test]
    fn passwords_stay_out_of_files() {
        let words = |text: &[&str]| text.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let typed = words(&[
            "/home/me/actlab",
            "sweep",
            "a.toml",
            "--mlflow=http://me:secret@host/path",
            "--set",
            "mlflow={tracking_uri=\"http://me:secret@host/\"}",
            "--seeds",
            "2",
        ]);
        assert_eq!(portable(typed), ["actlab", "sweep", "a.toml", "--seeds", "2"]);
        let typed = words(&["actlab", "sweep", "--mlflow=http://host/a@b"]);
        assert_eq!(portable(typed.clone()), typed);
        let typed =
            words(&["ACTLAB_MLFLOW={a=\"http://me:secret@host\"}", "ACTLAB_SEEDS=3", "/a/actlab"]);
        assert_eq!(portable(typed), ["ACTLAB_SEEDS=3", "actlab"]);
        let typed = words(&["actlab", "sweep", "--set=a=['http://a/x', 'http://me:secret@host']"]);
        assert_eq!(portable(typed), ["actlab", "sweep"]);
    }

    #[test]
    fn a_command_can_be_typed_again() {
        let words = |text: &[&str]| text.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let typed = words(&["./actlab", "sweep", "my file.toml", "--set", "seeds=[1, 2]", "it's"]);
        assert_eq!(
            command(&typed, false),
            r"./actlab sweep 'my file.toml' --set 'seeds=[1, 2]' 'it'\''s'"
        );
        let started = words(&["target/debug/actlab", "sweep"]);
        assert_eq!(command(&started, true), "cargo run -p runner -- sweep");
        let set = words(&["ACTLAB_NAME=two words", "ACTLAB_SEEDS=[1, 2]", "actlab", "sweep"]);
        assert_eq!(
            command(&set, false),
            "ACTLAB_NAME='two words' ACTLAB_SEEDS='[1, 2]' actlab sweep"
        );
    }
}
