//! Model zoo, data sets and the training loop. Knows no activation by name.

pub mod bench;
mod checkpoint;
pub mod data;
pub mod device;
pub mod error;
pub mod model;
mod optimizer;
mod parameters;
mod schedule;
mod site;
pub mod stream;
mod train;

pub use checkpoint::{Checkpoint, Unusable};
pub use device::DeviceSpec;
pub use error::Error;
pub use model::{ModelSize, model_size};
pub use schedule::learning_rate;
pub use train::{
    Finished, Monitor, NUMERICS, Stopped, Trainer, check, cross_entropy, measure_step, train,
};
