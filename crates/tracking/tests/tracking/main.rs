//! Runs on their way to W&B, TensorBoard and MLflow, through everything that goes wrong.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod directories;
mod event_files;
mod faults;
mod mlflow;
mod mutation;
mod one_run;
mod places;
mod rates;
mod server;
mod support;
