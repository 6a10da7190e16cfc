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

/// The command that has started this process, as a shell takes it.
pub(crate) fn this_command() -> String {
    let cargo = std::env::var_os("CARGO").is_some();
    let words: Vec<String> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    command(&words, cargo)
}

/// The words of that command with the plain name of the program, for a file that another user may read: flags with an
/// address that holds a name and a password are left out.
pub(crate) fn portable_words() -> Vec<String> {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    portable(words)
}

fn portable(words: Vec<String>) -> Vec<String> {
    let mut words = words.into_iter();
    let program = words.next().unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut kept = vec![name];
    for word in words {
        let address =
            word.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or(rest));
        if !address.is_some_and(|address| address.contains('@')) {
            kept.push(word);
            continue;
        }
        // Its flag, where the value is a word of its own.
        if !word.starts_with('-') && kept.last().is_some_and(|last| last.starts_with("--")) {
            kept.pop();
        }
    }
    kept
}

/// `words` as a line for a shell.
pub(crate) fn line(words: &[String]) -> String {
    command(words, false)
}

/// The command of `words`, the program first, as a shell takes it. Where cargo has started the program, the user has not
/// typed its path.
fn command(words: &[String], cargo: bool) -> String {
    let (program, arguments) = match words {
        [program, arguments @ ..] => (quoted(program), arguments),
        [] => ("actlab".to_owned(), words),
    };
    let program = if cargo { "cargo run -p runner --".to_owned() } else { program };
    let arguments = arguments.iter().map(|word| quoted(word));
    std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ")
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
    }
}
