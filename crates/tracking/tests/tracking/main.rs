//! Runs on their way to W&B and TensorBoard, through everything that goes wrong.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod directories;
mod event_files;
mod faults;
mod mutation;
mod one_run;
mod server;
mod support;
