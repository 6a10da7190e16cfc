//! Every command that the README, the book and CONTRIBUTING.md show is one that the program takes.

use super::Cli;
use clap::Parser;
use std::fs;
use std::path::{Path, PathBuf};

/// What a shell makes of a line: words between spaces, where quotes hold them together, up to a comment or a pipe.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, '#' | '|' | '>' | ';') if word.is_none() => return words,
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The commands in the blocks of `text` that are for a shell, with the lines that they are on.
fn commands(text: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut block: Option<String> = None;
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(fence) = line.trim_start().strip_prefix("```") {
            block = if block.is_none() { Some(fence.to_owned()) } else { None };
            continue;
        }
        let for_a_shell =
            block.as_deref().is_some_and(|kind| matches!(kind, "text" | "sh" | "bash"));
        if !for_a_shell {
            continue;
        }
        let line = line.trim().trim_start_matches("$ ");
        let rest = line.strip_prefix("actlab ").or_else(|| {
            let (_, rest) = line.strip_prefix("cargo run -p runner ")?.split_once("-- ")?;
            Some(rest)
        });
        if let Some(rest) = rest {
            let command = std::iter::once("actlab".to_owned()).chain(words(rest));
            found.push((number, command.collect()));
        }
    }
    found
}

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let book = fs::read_dir(root.join("docs/src")).unwrap().map(|entry| entry.unwrap().path());
    // That chapter is made of `--help`, and has lines such as `actlab [OPTIONS] <COMMAND>`.
    let book = book.filter(|path| !path.ends_with("commands.md"));
    book.chain([root.join("README.md"), root.join("CONTRIBUTING.md")]).collect()
}

#[test]
fn commands_of_the_documents_are_accepted() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for path in pages().iter().filter(|path| path.extension().is_some_and(|kind| kind == "md")) {
        let text = fs::read_to_string(path).unwrap();
        for (line, command) in commands(&text) {
            count += 1;
            if let Err(error) = Cli::try_parse_from(&command)
                && error.use_stderr()
            {
                let message = error.to_string();
                let message = message.lines().next().unwrap_or_default();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                wrong.push(format!("{name}:{line}: {}: {message}", command.join(" ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 40, "only {count} commands were found");
}

#[test]
fn words_are_those_of_a_shell() {
    let line = "explain 'x * tanh(x) where b=1' --set \"a=[1, 2]\" # a comment";
    assert_eq!(words(line), ["explain", "x * tanh(x) where b=1", "--set", "a=[1, 2]"]);
    assert_eq!(words("eval gelu -- -1 0 | head"), ["eval", "gelu", "--", "-1", "0"]);
}
