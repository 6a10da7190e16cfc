//! Completions for shells, and man pages.

use crate::Error;
use crate::cli::{Cli, CompletionsArgs, ShellName};
use crate::console::{out, outln};
use clap::CommandFactory;
use clap_complete::{Shell, generate};
use record::write_atomically;
use std::path::{Path, PathBuf};

const NAME: &str = "actlab";

pub(crate) fn run(args: &CompletionsArgs) -> Result<(), Error> {
    if let Some(shell) = args.shell {
        out!("{}", String::from_utf8_lossy(&script(shell)));
    }
    if let Some(prefix) = &args.install {
        for path in install(prefix)? {
            outln!("wrote {}", path.display());
        }
    }
    Ok(())
}

/// The completions of a shell.
fn script(shell: ShellName) -> Vec<u8> {
    let shell = match shell {
        ShellName::Bash => Shell::Bash,
        ShellName::Zsh => Shell::Zsh,
        ShellName::Fish => Shell::Fish,
    };
    let mut text = Vec::new();
    generate(shell, &mut Cli::command(), NAME, &mut text);
    text
}

/// Writes all completions and man pages where shells and `man` look below `prefix`.
fn install(prefix: &Path) -> Result<Vec<PathBuf>, Error> {
    let shells = [
        (ShellName::Bash, "share/bash-completion/completions/actlab"),
        (ShellName::Zsh, "share/zsh/site-functions/_actlab"),
        (ShellName::Fish, "share/fish/vendor_completions.d/actlab.fish"),
    ];
    let mut written = Vec::new();
    for (shell, place) in shells {
        written.push(write(&prefix.join(place), &script(shell))?);
    }
    let mut command = Cli::command();
    command.build();
    let mut pages = Vec::new();
    collect(&command, &mut pages);
    for (name, page) in pages {
        let place = format!("share/man/man1/{name}.1");
        written.push(write(&prefix.join(place), &page)?);
    }
    Ok(written)
}

/// The man pages of `command` and those below it.
fn collect(command: &clap::Command, pages: &mut Vec<(String, Vec<u8>)>) {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut page = Vec::new();
    // A vector takes every byte.
    if clap_mangen::Man::new(command.clone()).render(&mut page).is_ok() {
        pages.push((name, page));
    }
    let shown = |one: &&clap::Command| !one.is_hide_set() && one.get_name() != "help";
    command.get_subcommands().filter(shown).for_each(|one| collect(one, pages));
}

fn write(path: &Path, bytes: &[u8]) -> Result<PathBuf, Error> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    }
    write_atomically(path, bytes)?;
    Ok(path.to_owned())
}
