use crate::cli::{DataCommand, DataFolder};
use crate::console::{note, out, outln};
use crate::experiment::limits::grouped;
use crate::{Error, console, interrupt};
use actlab_core::DatasetRegistration;
use actlab_core::component::{self, Registration};
use actlab_core::data::{
    Catalogue, Dataset, Entry, Inputs, Loading, Part, Progress, Source, fetch,
};
use indicatif::{ProgressBar, ProgressStyle};
use record::{Component, Split};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Where a data set is that the program holds.
const SHIPS: &str = "ships with the program";

/// Sequences are not cut when a data set is looked at.
const WHOLE: usize = 100_000;

pub(crate) fn run(command: &DataCommand) -> Result<(), Error> {
    match command {
        DataCommand::List { data_dir } => {
            list(&Catalogue::new(data_dir.clone(), BTreeMap::new()));
            Ok(())
        }
        DataCommand::Fetch { name, place } => {
            let registration = component::find::<DatasetRegistration>(name)?;
            let published = registration.published_entry();
            let Some(entry) = published.filter(|entry| entry.is_remote()) else {
                let place = published.map_or(registration.place, |_| SHIPS);
                outln!("{name}: {place}, so there is nothing to fetch");
                return Ok(());
            };
            let catalogue = catalogue(name, place);
            interrupt::install();
            let folder = catalogue.folder(name);
            let mut progress = FetchProgress::new();
            let fetched = fetch(entry, &folder, &mut progress);
            if let Err(actlab_core::Error::Download { .. }) = &fetched {
                progress.bar.finish_and_clear();
                note!(
                    "where the network cannot be reached, copy the files to {} (or name their folder with --folder), and check \
                     them with `actlab data verify {name}`",
                    folder.display()
                );
            }
            fetched?;
            progress.bar.finish_and_clear();
            verify(&catalogue, registration)
        }
        DataCommand::Verify { name, place } => {
            verify(&catalogue(name, place), component::find::<DatasetRegistration>(name)?)
        }
    }
}

fn catalogue(name: &str, place: &DataFolder) -> Catalogue {
    let folders: BTreeMap<String, PathBuf> =
        place.folder.iter().map(|folder| (name.to_owned(), folder.clone())).collect();
    Catalogue::new(place.data_dir.clone(), folders)
}

fn list(catalogue: &Catalogue) {
    let rows: Vec<Vec<String>> = Catalogue::entries()
        .iter()
        .map(|entry| {
            let state = match &entry.source {
                Source::Bundled(_) => SHIPS.to_owned(),
                Source::Remote { downloads, .. } => {
                    let folder = catalogue.folder(entry.name);
                    if catalogue.has(entry) {
                        format!("in {}", folder.display())
                    } else {
                        #[expect(clippy::cast_precision_loss, reason = "megabytes")]
                        let size =
                            downloads.iter().map(|file| file.bytes).sum::<u64>() as f64 / 1e6;
                        format!("to fetch, {size:.0} MB")
                    }
                }
            };
            vec![
                entry.name.to_owned(),
                state,
                entry.licence.to_owned(),
                entry.description.to_owned(),
            ]
        })
        .collect();
    let others = component::all::<DatasetRegistration>();
    let others = others.into_iter().filter(|one| one.published_entry().is_none()).map(|one| {
        let entry = one.entry();
        [entry.name, one.place, one.licence, entry.about].map(str::to_owned).to_vec()
    });
    let rows: Vec<Vec<String>> = rows.into_iter().chain(others).collect();
    let (what, short): (Vec<String>, Vec<Vec<String>>) =
        rows.into_iter().map(|mut row| (row.pop().unwrap_or_default(), row)).unzip();
    let table = console::fitted(&["name", "where", "licence"], &short, &[1, 2]);
    let mut what = what.iter();
    let mut next = || what.next().map(|what| console::hanging("    ", what)).unwrap_or_default();
    let mut lines = table.lines().peekable();
    outln!("{}", lines.next().unwrap_or_default());
    while let Some(line) = lines.next() {
        outln!("{line}");
        // A row that is wrapped has blanks in the place of the name in all lines but the first.
        if lines.peek().is_none_or(|following| !following.starts_with(' ')) {
            out!("{}", next());
        }
    }
}

fn verify(catalogue: &Catalogue, registration: &DatasetRegistration) -> Result<(), Error> {
    let entry = registration.entry();
    let loading = Loading { catalogue, max_tokens: Some(WHOLE) };
    let data = registration.load(&Component::named(entry.name), &loading)?;
    out!("{}", console::hanging("", &format!("{}: {}", data.name, entry.about)));
    if registration.published_entry().is_some_and(Entry::is_remote) {
        outln!("  folder      {}", catalogue.folder(entry.name).display());
    }
    outln!("  inputs      {}", inputs(&data));
    if !data.classes.is_empty() {
        outln!("  classes     {}", data.classes.join(", "));
    }
    for split in [Split::Train, Split::Validation, Split::Test] {
        let part = data.part(split);
        outln!("  {:<11} {}", split.to_string(), holds(part, data.classes.len()));
    }
    outln!("  sha256      {}", data.sha256);
    for difference in &data.differences {
        console::warning(&difference.to_string());
    }
    match data.differences.iter().filter(|difference| difference.altered).count() {
        0 => Ok(()),
        files => Err(Error::OtherData { name: data.name, files }),
    }
}

/// What a split of a data set of so many `classes` holds.
fn holds(part: &Part, classes: usize) -> String {
    if classes == 0 {
        return match &part.inputs {
            Inputs::Text(text) => {
                let tokens: usize = text.tokens.iter().map(Vec::len).sum();
                format!("{} tokens", grouped(tokens))
            }
            _ => format!("{} examples", part.len()),
        };
    }
    let mut counts = vec![0_usize; classes];
    for label in &part.labels {
        counts[*label] += 1;
    }
    let counts: Vec<_> = counts.iter().map(ToString::to_string).collect();
    format!("{} examples, by class {}", part.len(), counts.join(" "))
}

fn inputs(data: &Dataset) -> String {
    match &data.train.inputs {
        Inputs::Images(images) => {
            format!("images, {} × {} × {}", images.channels, images.height, images.width)
        }
        Inputs::Features(features) => format!("features, {} of each example", features.width),
        Inputs::Text(text) => {
            let longest = text.tokens.iter().map(Vec::len).max().unwrap_or(0);
            format!("text, {} entries of vocabulary, up to {longest} tokens", text.vocabulary)
        }
    }
}

/// A bar on a terminal, a line every few seconds elsewhere.
struct FetchProgress {
    bar: ProgressBar,
    said: Instant,
}

impl FetchProgress {
    fn new() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template(
            "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} left",
        ) {
            bar.set_style(style);
        }
        Self { bar, said: Instant::now() }
    }
}

impl Progress for FetchProgress {
    fn bytes(&mut self, file: &str, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        self.bar.set_message(file.to_owned());
        if self.bar.is_hidden() && self.said.elapsed() > Duration::from_secs(5) {
            self.said = Instant::now();
            note!("{file}: {} of {} KB", done / 1000, total / 1000);
        }
    }

    fn interrupted(&self) -> bool {
        interrupt::interrupted()
    }
}
