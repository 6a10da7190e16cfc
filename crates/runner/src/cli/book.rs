//! The chapter of the book that has every command, from what `--help` says.

use super::Cli;
use clap::{Command, CommandFactory};
use std::path::Path;

const CHAPTER: &str = "docs/src/commands.md";

/// Columns of a line of help.
const COLUMNS: usize = 80;

const HEAD: &str = "\
# Commands

What `actlab COMMAND --help` prints, for every command. A test keeps this chapter as the program is:
`INSTA_UPDATE=always cargo test -p runner --lib commands` writes it again.

";

/// A section for `command` and one for each below it.
fn sections(command: &mut Command, path: &str, text: &mut String) {
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
    *text += &format!("## {path}\n\n```text\n{}\n```\n\n", lines.join("\n"));
    for below in command.get_subcommands_mut() {
        if !below.is_hide_set() && below.get_name() != "help" {
            let path = format!("{path} {}", below.get_name());
            sections(below, &path, text);
        }
    }
}

#[test]
fn the_book_has_all_commands() {
    let mut command = Cli::command().term_width(COLUMNS);
    command.build();
    let mut text = HEAD.to_owned();
    sections(&mut command, "actlab", &mut text);
    let text = text.trim_end().to_owned() + "\n";
    let long = text.lines().filter(|line| line.chars().count() > COLUMNS + 20);
    assert_eq!(long.collect::<Vec<_>>(), [""; 0]);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(CHAPTER);
    if std::env::var("INSTA_UPDATE").is_ok_and(|value| value == "always") {
        std::fs::write(&file, text).unwrap();
        return;
    }
    let chapter = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(chapter == text, "{CHAPTER} is not what `--help` says: write it again as it tells");
}

/// Examples are lines that clap must not wrap, and every command has some.
#[test]
fn examples_fit_the_terminal() {
    fn check(command: &Command, wrong: &mut Vec<String>) {
        let name = command.get_name();
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        if !help.starts_with("Example") && name != "help" && !command.is_hide_set() {
            wrong.push(format!("{name} has no example"));
        }
        let examples = help.lines().filter(|line| line.starts_with("  "));
        let long = examples.filter(|line| line.chars().count() > COLUMNS);
        wrong.extend(long.map(|line| format!("{name}: {line}")));
        command.get_subcommands().for_each(|below| check(below, wrong));
    }
    let mut wrong = Vec::new();
    check(&Cli::command(), &mut wrong);
    assert_eq!(wrong, [""; 0]);
}
