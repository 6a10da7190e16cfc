//! Whatever happens to one run costs no other, and whatever happens to a sweep costs no result.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod chaos;
mod plugins;

use runner_testing::Place;

fn place() -> Place {
    Place::new(env!("CARGO_BIN_EXE_actlab-with-faults"))
}
