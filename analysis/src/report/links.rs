//! Where runs can be seen on trackers, in the forms of the reports.

use crate::render::text;
use record::{Link, StoredRun};

/// Links that the Markdown report and LaTeX list at most; the page has all.
const MOST: usize = 200;

/// Writes tracker, task and activation, and seeds with addresses.
type Write<'a> = dyn Fn([&str; 3], &[(u64, &str)]) -> String + 'a;

/// A run that can be seen on trackers.
#[derive(Debug, Clone)]
struct Run {
    task: String,
    activation: String,
    seed: u64,
    links: Vec<Link>,
}

/// The links of all runs, in the order of these.
#[derive(Debug, Clone)]
pub(super) struct Links(Vec<Run>);

impl Links {
    pub(super) fn of(runs: &[&StoredRun]) -> Self {
        let run = |run: &&StoredRun| Run {
            task: run.record.spec.task.clone(),
            activation: run.record.spec.activation.label.clone(),
            seed: run.record.spec.seed,
            links: run.dir.links(),
        };
        Self(runs.iter().map(run).collect())
    }

    /// The links of the run at `place`.
    pub(super) fn run(&self, place: usize) -> &[Link] {
        self.0.get(place).map_or(&[], |run| &run.links)
    }

    /// The trackers, by name.
    pub(super) fn sinks(&self) -> Vec<&str> {
        let mut sinks: Vec<&str> =
            self.0.iter().flat_map(|run| &run.links).map(|link| link.sink.as_str()).collect();
        sinks.sort_unstable();
        sinks.dedup();
        sinks
    }

    /// A line for each tracker, task and activation with a link for each seed. None where there are too many
    /// links.
    fn lines(&self, write: &Write<'_>) -> Option<Vec<String>> {
        if self.0.iter().map(|run| run.links.len()).sum::<usize>() > MOST {
            return None;
        }
        let mut lines = Vec::new();
        for sink in self.sinks() {
            for runs in self.0.chunk_by(|a, b| (&a.task, &a.activation) == (&b.task, &b.activation))
            {
                let seeds: Vec<(u64, &str)> = runs
                    .iter()
                    .flat_map(|run| run.links.iter().map(|link| (run.seed, link)))
                    .filter(|(_, link)| link.sink == sink)
                    .map(|(seed, link)| (seed, link.url.as_str()))
                    .collect();
                if !seeds.is_empty() {
                    lines.push(write([sink, &runs[0].task, &runs[0].activation], &seeds));
                }
            }
        }
        Some(lines)
    }

    /// Items of a list in Markdown.
    pub(super) fn markdown(&self) -> Vec<String> {
        let line = |names: [&str; 3], seeds: &[(u64, &str)]| {
            let [sink, task, activation] = names.map(text::escape);
            let seed = |(seed, url): &(u64, &str)| format!("[{seed}](<{}>)", address(url));
            let seeds: Vec<String> = seeds.iter().map(seed).collect();
            format!("{sink}: {task}, {activation}: seeds {}", seeds.join(", "))
        };
        self.lines(&line).unwrap_or_else(|| {
            let sinks: Vec<String> = self.sinks().into_iter().map(text::escape).collect();
            vec![format!("{}: report.html links to each run.", sinks.join(", "))]
        })
    }

    /// Lines of LaTeX, whose links need the package hyperref; without it their text stays. `escape` writes a text.
    pub(super) fn latex(&self, escape: &dyn Fn(&str) -> String) -> Vec<String> {
        let line = |names: [&str; 3], seeds: &[(u64, &str)]| {
            let [sink, task, activation] = names.map(escape);
            let seed = |(seed, url): &(u64, &str)| {
                let url = address(url).replace('%', "\\%").replace('#', "\\#");
                format!("\\href{{{url}}}{{{seed}}}")
            };
            let seeds: Vec<String> = seeds.iter().map(seed).collect();
            format!("{sink}: {task}, {activation}: seeds {}.", seeds.join(", "))
        };
        self.lines(&line).unwrap_or_default()
    }
}

/// An address without characters that end a link in Markdown or LaTeX, or a line.
fn address(url: &str) -> String {
    let mut address = String::new();
    for c in url.chars() {
        if c.is_ascii_graphic()
            && !matches!(c, '<' | '>' | '\\' | '{' | '}' | '"' | '`' | '^' | '|')
        {
            address.push(c);
        } else {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                address += &format!("%{byte:02X}");
            }
        }
    }
    address
}
