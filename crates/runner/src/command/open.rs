//! Opens the page of a report with the program that the system has for pages.

use crate::Error;
use crate::cli::OpenArgs;
use crate::console::{note, outln, printable};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The page in the folder of a sweep.
const PAGE: &str = "report.html";

pub(crate) fn run(args: &OpenArgs) -> Result<(), Error> {
    let page = page(&args.dir)?;
    let page = std::path::absolute(&page).unwrap_or(page);
    outln!("{}", printable(&page.display().to_string()));
    if args.print {
        return Ok(());
    }
    let Some(mut command) = opener() else {
        note!("no display is known here: open the file above in a browser");
        return Ok(());
    };
    let started =
        command.arg(&page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if let Err(error) = started {
        let program = command.get_program().to_string_lossy().into_owned();
        note!("{program} does not start ({error}): open the file above in a browser");
    }
    Ok(())
}

fn page(dir: &Path) -> Result<PathBuf, Error> {
    let page = if dir.is_dir() { dir.join(PAGE) } else { dir.to_owned() };
    if page.is_file() {
        return Ok(page);
    }
    let folder = crate::shell::quoted(&dir.display().to_string());
    let message = if !dir.exists() {
        format!("{} does not exist; `actlab results` lists what is there", dir.display())
    } else if dir.join("sweep.json").exists() || dir.join("runs").is_dir() {
        format!("{} has no {PAGE} yet: write it with `actlab report {folder}`", dir.display())
    } else {
        format!("{} is not the folder of a sweep: it has no {PAGE}", dir.display())
    };
    Err(Error::Usage(message))
}

/// The program that opens a page, where a window can be shown.
fn opener() -> Option<Command> {
    if cfg!(target_os = "macos") {
        return Some(Command::new("open"));
    }
    if cfg!(windows) {
        let mut command = Command::new("cmd");
        command.args(["/C", "start", ""]);
        return Some(command);
    }
    let has = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"]
        .iter()
        .any(|name| has(name))
        .then(|| Command::new("xdg-open"))
}
