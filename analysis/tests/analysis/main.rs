//! Statistics against the figures of others, and reports of made-up sweeps.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod answer;
mod claims;
mod common;
mod comparison;
mod coverage;
mod links;
mod metric;
mod pairs;
mod plots;
mod precision;
mod report;
mod report_files;
mod search;
mod statistics;
