//! The program as a user meets it.

mod activations;
mod data;
mod errors;
mod plugin;
mod scaffold;
mod schema;
mod support;
mod sweep;
