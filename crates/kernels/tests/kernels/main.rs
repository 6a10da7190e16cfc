//! Every fused operation against the same thing in plain burn operations, and what holds of all of
//! them: the same bits with any number of threads and on every instruction set, and tensors that stay as they were.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod agreement;
mod case;
mod empty;
mod formula;
mod learned;
mod operation;
mod precision;
mod reduction;
mod refusal;
mod replica;
mod tape;
mod threads;
mod update;
mod widths;
