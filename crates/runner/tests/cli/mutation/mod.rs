//! Inputs with accidental changes, of which each is used or refused, soon, in little memory, and without a panic.
//!
//! `MUTATIONS=1000 MUTATION_SEED=7 cargo test -p runner --test cli mutation` tries other ones and more.

mod change;
mod checkpoints;
mod experiments;
mod records;
mod scores;
mod survive;
