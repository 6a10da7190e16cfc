//! Where the events of a run go besides its record: Weights & Biases, TensorBoard, MLflow.
//!
//! The record comes first. Whatever is measured is written to the run's `metrics.jsonl` before anybody else
//! hears of it, and a thread of its own reads it from there ([`RecordSource`]) and hands it to a [`Sink`] as a
//! stream of typed [`Event`]s. So a sink that is slow, broken or away costs training nothing and loses
//! nothing: what it has not taken lies in the record, however long that lasts, and is read when the sink is
//! back, by the same process or a later one.
//!
//! A new sink is one file that implements [`Sink`] and describes itself as a [`Kind`], and a line in the table of
//! `registry.rs`; the one for TensorBoard is the example to follow.

/// Says something to the user: a line.
pub type Notice = std::sync::Arc<dyn Fn(&str) + Send + Sync>;

/// `text` as a terminal may show it: what a server or a file says must not command it.
fn printable(text: &str) -> String {
    let hidden = |char: &char| {
        // Controls, and marks that turn the direction of writing.
        char.is_control()
            || matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let text = text.replace(['\n', '\t'], " ");
    text.chars().filter(|char| !hidden(char)).collect()
}

/// A notice that says what [`printable`] leaves.
fn printing(notice: &Notice) -> Notice {
    let notice = std::sync::Arc::clone(notice);
    std::sync::Arc::new(move |line| notice(&printable(line)))
}

mod append;
mod event;
mod follow;
#[doc(hidden)]
pub mod fuzzing;
mod http;
pub mod mlflow;
mod registry;
mod settings;
mod sink;
mod source;
pub mod system;
pub mod tensorboard;
pub mod wandb;

pub use event::{Document, Event, Metric, Point, Run};
pub use follow::{Following, Leftover, Tracker};
pub use registry::{Configured, Kind, SinkRequest, is_read, is_secret, kind, sinks};
pub use settings::{Environment, SettingsError};
pub use sink::{Fault, Open, Pace, Sink, Target};
pub use source::{RecordSource, ReportSource, Source, exit_code};

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn a_text_does_not_command_a_terminal() {
        let text = "no \u{1b}]0;title\u{7}such\r\nrun\u{9b}31m \u{202e}é";
        assert_eq!(printable(text), "no ]0;titlesuch run31m é");
    }
}
