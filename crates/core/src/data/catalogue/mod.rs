//! Every data set that has a name.

mod entries;
mod load;
#[cfg(test)]
mod tests;

use super::locate::locate;
use super::source::{DatasetRegistration, Loading};
use super::{Dataset, Difference, Part};
use crate::Error;
use crate::component;
use crate::model::max_tokens;
use entries::ENTRIES;
use load::{Files, check_splits};
pub(crate) use load::{Key, key};
use record::{Component, DataSpec};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A data set that has a name.
#[derive(Debug)]
pub struct Entry {
    /// Name in experiment files.
    pub name: &'static str,
    /// What it holds, in a line.
    pub description: &'static str,
    /// Licence, in a word.
    pub licence: &'static str,
    /// Where it is from.
    pub source: Source,
    /// Names of the classes.
    classes: &'static [&'static str],
    load: fn(&Entry, &mut Files<'_>, usize) -> Result<[Part; 3], Error>,
}

impl Entry {
    /// Whether it is fetched into a folder, and does not ship.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        matches!(self.source, Source::Remote { .. })
    }

    /// Names of the archives that its files come in.
    fn archives(&self) -> Vec<&'static str> {
        let Source::Remote { downloads, .. } = &self.source else { return Vec::new() };
        downloads.iter().filter(|one| one.format != Format::File).map(Download::name).collect()
    }
}

/// Where a data set is from.
#[derive(Debug)]
pub enum Source {
    /// It ships with the program: names and contents.
    Bundled(&'static [(&'static str, &'static [u8])]),
    /// It is fetched into a folder.
    Remote {
        /// What is fetched.
        downloads: &'static [Download],
        /// Files that it needs there.
        files: &'static [NeededFile],
    },
}

/// A file that a data set needs in its folder.
#[derive(Debug)]
pub struct NeededFile {
    /// Its name, without `.gz`.
    pub name: &'static str,
    /// Examples that the published file holds.
    pub examples: usize,
    /// Counts the examples in the content of such a file.
    count: fn(&[u8]) -> usize,
    /// SHA-256 of the published file, unpacked: another packing of the same content is the same data.
    sha256: Option<&'static str>,
}

impl NeededFile {
    /// How the file at `path` with this `content`, whose checksum is `sha256`, differs from the published one, if it does.
    fn difference(&self, path: &Path, content: &[u8], sha256: &str) -> Option<Difference> {
        let examples = (self.count)(content);
        let altered = examples == self.examples;
        let reason = if altered {
            let published = self.sha256.filter(|published| *published != sha256)?;
            format!("its content has SHA-256 {sha256}, but the published file has {published}")
        } else {
            format!("holds {examples} examples, but the published file has {}", self.examples)
        };
        Some(Difference { path: path.to_owned(), reason, altered })
    }
}

/// A file to fetch.
#[derive(Debug)]
pub struct Download {
    /// Address.
    pub url: &'static str,
    /// SHA-256 of what is fetched.
    pub sha256: &'static str,
    /// Its size in bytes.
    pub bytes: u64,
    /// Whether it is an archive.
    pub format: Format,
}

impl Download {
    /// Name of the file, which is the last part of its address.
    pub(super) fn name(&self) -> &'static str {
        self.url.rsplit('/').next().unwrap_or(self.url)
    }
}

/// What a fetched file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A file of its own, kept under the last part of its address.
    File,
    /// A gzipped tar archive, whose files are kept, without their folders.
    TarGz,
    /// A zip archive, whose files are kept, without their folders.
    Zip,
}

/// The data sets, and the folders in which those that do not ship lie.
#[derive(Debug, Clone)]
pub struct Catalogue {
    root: PathBuf,
    folders: BTreeMap<String, PathBuf>,
}

impl Catalogue {
    /// Data sets lie below `root`, each in a folder of its name, but where `folders` says otherwise.
    #[must_use]
    pub fn new(root: PathBuf, folders: BTreeMap<String, PathBuf>) -> Self {
        Self { root, folders }
    }

    /// Every data set.
    #[must_use]
    pub fn entries() -> &'static [Entry] {
        &ENTRIES
    }

    /// The data set called `name`.
    ///
    /// # Errors
    /// If there is none; the error lists all.
    pub fn find(name: &str) -> Result<&'static Entry, Error> {
        ENTRIES.iter().find(|entry| entry.name == name).ok_or_else(|| Error::UnknownComponent {
            kind: "data set",
            name: name.to_owned(),
            nearest: activation::nearest(name, ENTRIES.iter().map(|entry| entry.name)),
            known: ENTRIES.iter().map(|entry| entry.name).collect(),
        })
    }

    /// The folder of a data set that does not ship.
    #[must_use]
    pub fn folder(&self, name: &str) -> PathBuf {
        self.folders.get(name).cloned().unwrap_or_else(|| self.root.join(name))
    }

    /// Whether every file of `entry` is here. They are not read.
    #[must_use]
    pub fn has(&self, entry: &Entry) -> bool {
        match &entry.source {
            Source::Bundled(_) => true,
            Source::Remote { files, .. } => {
                let folder = self.folder(entry.name);
                locate(entry.name, &folder, files, &entry.archives()).is_ok()
            }
        }
    }

    /// Loads the data that `spec` asks for, as `model` takes it.
    ///
    /// # Errors
    /// If it is unknown, missing, or damaged.
    pub fn load(&self, spec: &DataSpec, model: &Component) -> Result<Dataset, Error> {
        let max_tokens = max_tokens(model).map_err(|error| error.within("model"))?;
        let loading = Loading { catalogue: self, max_tokens };
        let source = component::find::<DatasetRegistration>(&spec.name)?;
        let mut data = source.load(&spec.component(), &loading)?;
        if let Some(limit) = spec.train_limit {
            data.train =
                if source.sorted { data.train.draw(limit) } else { data.train.take(limit) };
        }
        if spec.train_limit == Some(0) {
            return Err(Error::spec("train_limit", "must be 1 or more"));
        }
        Ok(data)
    }

    /// Loads the whole of `entry`, text cut to `max_length` tokens.
    ///
    /// # Errors
    /// If it is missing or damaged.
    pub fn load_entry(&self, entry: &Entry, max_length: usize) -> Result<Dataset, Error> {
        let folder = self.folder(entry.name);
        let mut files = Files::new(entry, &folder)?;
        let parts = (entry.load)(entry, &mut files, max_length)?;
        check_splits(&folder, &parts)?;
        let [train, validation, test] = parts;
        Ok(Dataset {
            name: entry.name.to_owned(),
            classes: entry.classes.iter().map(|class| (*class).to_owned()).collect(),
            train,
            validation,
            test,
            sha256: files.sha256(),
            differences: files.into_differences(),
        })
    }
}
