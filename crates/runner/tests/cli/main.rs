//! The program as a user meets it.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod activations;
mod architecture;
mod bench;
mod bounds;
mod claims;
mod components;
mod damage;
mod data;
mod errors;
mod experiments;
#[cfg(target_os = "linux")]
mod gpus;
mod habits;
mod mutation;
mod pretrained;
mod rerun;
mod scaffold;
mod schema;
mod search;
#[cfg(unix)]
mod slurm;
mod source;
mod stats;
mod support;
mod sweep;
mod tracking;
mod tune;
mod wandb_sweep;
