//! Ctrl-C: the first asks for a clean stop, the second does not ask.

use crate::console::note;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static INSTALL: Once = Once::new();

/// From now on Ctrl-C, SIGTERM and SIGHUP are noticed instead of deadly.
pub(crate) fn install() {
    INSTALL.call_once(|| {
        let installed = ctrlc::set_handler(|| {
            if INTERRUPTED.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
            note!("\nstopping with a checkpoint; press Ctrl-C again to stop at once");
        });
        if let Err(error) = installed {
            note!("warning: Ctrl-C cannot be caught ({error}); it will stop at once");
        }
    });
}

/// Asks for a clean stop, as Ctrl-C does.
pub(crate) fn interrupt() {
    INTERRUPTED.store(true, Ordering::SeqCst);
}

/// Whether the user wants to stop.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// How the user resumes what was interrupted: with the very command that began it.
pub(crate) fn how_to_resume() -> String {
    let cargo = std::env::var_os("CARGO").is_some();
    let words: Vec<String> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    format!("resume with `{}`", command(&words, cargo))
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

/// The word for a shell, in quotes where it needs them.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=,:@%+~".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::command;

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
