//! Data sets that an experiment can name: published ones, and files of the user's own.

use super::Dataset;
use super::catalogue::{Catalogue, Entry as Published};
use crate::Error;
use crate::component::{self, Definition, Entry, Registration};
use record::Component;

/// What a data set is loaded with.
#[derive(Debug, Clone, Copy)]
pub struct Loading<'a> {
    /// Where published data sets lie.
    pub catalogue: &'a Catalogue,
    /// Most tokens of a sequence that the model takes.
    pub max_tokens: Option<usize>,
}

/// A data set with parameters.
pub trait DataSource: Definition {
    /// Where its files are, in words.
    const PLACE: &'static str = "your own files";
    /// Its licence, in a word.
    const LICENCE: &'static str = "yours";

    /// Whether its examples may stand in an order that says something of them, as one class behind the other: a part of
    /// them is then drawn, and is not the first ones.
    const SORTED: bool = false;

    /// Loads it.
    ///
    /// # Errors
    /// If a file is missing or damaged; with the file, and the line or row where there is one.
    fn load(&self, loading: &Loading<'_>) -> Result<Dataset, Error>;
}

/// A registered data set.
#[derive(Debug)]
pub struct DatasetRegistration {
    entry: Entry,
    source: Source,
    /// Whether its examples may stand in an order that says something of them.
    pub(super) sorted: bool,
    /// Where its files are, in words; of a published data set the catalogue knows more.
    pub place: &'static str,
    /// Its licence, in a word.
    pub licence: &'static str,
}

#[derive(Debug)]
enum Source {
    Published(&'static Published),
    Other(fn(&Component, &Loading<'_>) -> Result<Dataset, Error>),
}

impl DatasetRegistration {
    /// That of `D`, which `package` registers.
    #[must_use]
    pub const fn of<D: DataSource>(package: &'static str) -> Self {
        Self {
            entry: Entry::of::<D>(package),
            place: D::PLACE,
            licence: D::LICENCE,
            sorted: D::SORTED,
            source: Source::Other(|component, loading| {
                component::parameters::<D>(component)?.load(loading)
            }),
        }
    }

    /// That of a published data set.
    pub(super) const fn published(published: &'static Published) -> Self {
        let package = env!("CARGO_PKG_NAME");
        Self {
            entry: Entry::without_parameters(published.name, published.description, package),
            source: Source::Published(published),
            place: "the catalogue",
            licence: published.licence,
            sorted: false,
        }
    }

    /// The published data set that it is, if it is one.
    #[must_use]
    pub fn published_entry(&self) -> Option<&'static Published> {
        match self.source {
            Source::Published(published) => Some(published),
            Source::Other(_) => None,
        }
    }

    /// Loads the data set that `component` asks for.
    ///
    /// # Errors
    /// If a parameter is wrong, or a file is missing or damaged.
    pub fn load(&self, component: &Component, loading: &Loading<'_>) -> Result<Dataset, Error> {
        match self.source {
            Source::Published(published) => {
                self.entry.resolve(component)?;
                loading.catalogue.load_entry(published, loading.max_tokens.unwrap_or(usize::MAX))
            }
            Source::Other(load) => load(component, loading),
        }
    }
}

inventory::collect!(DatasetRegistration);

impl Registration for DatasetRegistration {
    const KIND: &'static str = "data set";

    fn entry(&self) -> &Entry {
        &self.entry
    }
}
