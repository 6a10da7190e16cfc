//! Finding the files of a data set in a folder, under the names and in the folders in which they are passed on.

use super::catalogue::NeededFile;
use super::files::unreadable;
use crate::Error;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Entries of a folder that a message names at most.
const NAMED: usize = 8;

/// Where each of `files` lies: in `folder`, or all of them in one folder below it, as archives are unpacked.
///
/// A file may be plain or have `.gz` behind its name, may be spelled with a dot before `idx`, and may lie in a folder
/// of its own name. `archives` are names of archives that hold the files, and are for errors.
pub(super) fn locate(
    dataset: &str,
    folder: &Path,
    files: &[NeededFile],
    archives: &[&str],
) -> Result<BTreeMap<&'static str, PathBuf>, Error> {
    let lacks = |name: &str, found: String| Error::MissingData {
        name: dataset.to_owned(),
        path: folder.join(name),
        found,
    };
    let missing = match look(folder, files) {
        Ok(places) => return Ok(places),
        Err(name) => name,
    };
    let below = match entries(folder) {
        Ok(below) => below,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(lacks(missing, format!("there is no folder {}", folder.display())));
        }
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            return Err(lacks(missing, format!("{} is not a folder", folder.display())));
        }
        Err(error) => return Err(unreadable(folder)(error)),
    };
    let mut whole =
        below.iter().filter_map(|path| look(path, files).ok().map(|found| (path, found)));
    match (whole.next(), whole.next()) {
        (Some((_, places)), None) => Ok(places),
        (Some((first, _)), Some((second, _))) => {
            let found = format!(
                "{} and {} both hold these files, so it must be one of them",
                first.display(),
                second.display()
            );
            Err(lacks(missing, found))
        }
        (None, _) => Err(lacks(missing, found(dataset, folder, missing, &below, archives))),
    }
}

/// Where each of `files` lies in `folder`; else the name of the first that does not.
fn look(
    folder: &Path,
    files: &[NeededFile],
) -> Result<BTreeMap<&'static str, PathBuf>, &'static str> {
    files
        .iter()
        .map(|file| find(folder, file.name).map(|path| (file.name, path)).ok_or(file.name))
        .collect()
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let names = spellings(name);
    let direct = names.iter().map(|name| folder.join(name));
    let nested = names
        .iter()
        .flat_map(|outer| names.iter().map(move |inner| folder.join(outer).join(inner)));
    direct.chain(nested).find(|path| path.is_file())
}

/// Names under which the file `name` is passed on, the published one first.
fn spellings(name: &str) -> Vec<String> {
    let dotted = name.replacen("-idx", ".idx", 1);
    let mut names = vec![name.to_owned()];
    names.extend((dotted != name).then_some(dotted));
    names.into_iter().flat_map(|name| [name.clone(), format!("{name}.gz")]).collect()
}

fn entries(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.sort();
    Ok(paths)
}

/// What is in `folder`, whose entries are `below`, where the file `name` is not.
fn found(dataset: &str, folder: &Path, name: &str, below: &[PathBuf], archives: &[&str]) -> String {
    for path in spellings(name).iter().map(|name| folder.join(name)) {
        let shown = path.display();
        if path.is_dir() {
            let holds = entries(&path).map_or_else(|error| error.to_string(), |all| listing(&all));
            return format!("{shown} is a folder with {holds}, and not that file");
        }
        if fs::symlink_metadata(&path).is_ok() {
            return match fs::metadata(&path) {
                Ok(_) => format!("{shown} is not a regular file"),
                Err(error) => format!("{shown} is a link that cannot be followed ({error})"),
            };
        }
    }
    if let Some(archive) = archives.iter().find(|name| folder.join(name).is_file()) {
        let folder = folder.display();
        return format!(
            "the archive {folder}/{archive} is not unpacked: `actlab data fetch {dataset} --folder {folder}` unpacks the \
             published one without a download"
        );
    }
    format!("{} holds {}", folder.display(), listing(below))
}

fn listing(paths: &[PathBuf]) -> String {
    if paths.is_empty() {
        return "nothing".to_owned();
    }
    let name = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let end = if path.is_dir() { "/" } else { "" };
        format!("{}{end}", name.escape_debug())
    };
    let named: Vec<String> = paths.iter().take(NAMED).map(name).collect();
    match paths.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
