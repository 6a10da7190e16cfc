//! Model zoo, data sets and the training loop. Knows no activation by name.

pub mod bench;
mod checkpoint;
pub mod data;
pub mod device;
mod divergence;
pub mod error;
mod evaluate;
pub mod model;
mod optimizer;
mod parameters;
mod recipe;
mod schedule;
mod site;
mod steps;
pub mod stream;
mod train;

pub use checkpoint::{Checkpoint, Unusable};
pub use device::DeviceSpec;
pub use error::Error;
pub use evaluate::cross_entropy;
pub use model::{ModelSize, model_size};
pub use recipe::check;
pub use schedule::learning_rate;
pub use train::{Finished, Monitor, NUMERICS, Stopped, Trainer, measure_step, train};
