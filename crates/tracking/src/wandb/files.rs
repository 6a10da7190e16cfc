//! Files of a run on their way to the server's store.

use crate::event::Document;
use serde_json::Value;

/// Files of a run: those that wait, and what became of the others.
#[derive(Debug, Default)]
pub(super) struct Files {
    waiting: Vec<Document>,
    uploaded: Vec<String>,
    refused: Vec<String>,
    addresses: Option<Addresses>,
}

/// What the server has answered to the names of files.
#[derive(Debug)]
pub(super) struct Addresses {
    /// The names that it was asked for.
    asked: Vec<String>,
    files: Value,
    /// Lines that each upload has in its head.
    pub(super) headers: Value,
    /// It was asked for in this turn: an address that is refused was not a good one before, either.
    fresh: bool,
}

impl Addresses {
    pub(super) fn new(asked: Vec<String>, answer: &Value) -> Self {
        let (files, headers) = (answer["files"].clone(), answer["uploadHeaders"].clone());
        Self { asked, files, headers, fresh: true }
    }

    /// Address of the file `name`, if the server gave one.
    fn of(&self, name: &str) -> Option<&str> {
        let mut files = self.files.as_array().into_iter().flatten();
        files.find(|file| file["name"].as_str() == Some(name))?["uploadUrl"].as_str()
    }
}

impl Files {
    /// Adds a file, which takes the place of an earlier one of the name.
    pub(super) fn add(&mut self, file: Document) {
        self.waiting.retain(|other| other.name != file.name);
        self.waiting.push(file);
    }

    pub(super) fn uploaded(&self) -> &[String] {
        &self.uploaded
    }

    /// Those that the store did not take.
    pub(super) fn refused(&self) -> &[String] {
        &self.refused
    }

    /// How many are settled.
    pub(super) fn settled(&self) -> usize {
        self.uploaded.len() + self.refused.len()
    }

    /// The next file, with its address and headers where they are known.
    pub(super) fn next(&self) -> Option<(&Document, Option<(&str, &Value)>)> {
        let file = self.waiting.last()?;
        let addresses = self.addresses.as_ref();
        Some((file, addresses.and_then(|it| Some((it.of(&file.name)?, &it.headers)))))
    }

    /// Whether the server is to be asked for addresses.
    pub(super) fn lacks_address(&self) -> bool {
        let asked = |file: &Document| {
            self.addresses.as_ref().is_some_and(|addresses| addresses.asked.contains(&file.name))
        };
        self.waiting.last().is_some_and(|file| !asked(file))
    }

    /// Names of those that wait.
    pub(super) fn names(&self) -> Vec<String> {
        self.waiting.iter().map(|file| file.name.clone()).collect()
    }

    pub(super) fn set_addresses(&mut self, addresses: Addresses) {
        self.addresses = Some(addresses);
    }

    /// A new turn begins: addresses of an earlier one may have expired.
    pub(super) fn begin_turn(&mut self) {
        if let Some(addresses) = &mut self.addresses {
            addresses.fresh = false;
        }
    }

    /// The next file has arrived.
    pub(super) fn arrived(&mut self) {
        self.uploaded.extend(self.waiting.pop().map(|file| file.name));
    }

    /// The server gives no addresses for those that wait.
    pub(super) fn refuse_all(&mut self, reason: &str) {
        self.refused.extend(self.waiting.drain(..).map(|file| format!("{} ({reason})", file.name)));
    }

    /// The store does not take the next file: where its address is of an earlier turn, another is asked for.
    pub(super) fn refuse(&mut self) {
        if self.addresses.take_if(|addresses| !addresses.fresh).is_none() {
            self.refused.extend(self.waiting.pop().map(|file| file.name));
        }
    }
}
