//! Model zoo, data sets and the training loop. Knows no activation by name.

pub mod bench;
mod checkpoint;
pub mod component;
pub mod data;
pub mod device;
mod divergence;
pub mod error;
pub mod model;
pub mod objective;
pub mod optimizer;
mod parameters;
mod pattern;
mod recipe;
pub mod schedule;
mod site_statistics;
pub mod sites;
mod steps;
pub mod stream;
mod train;

pub use checkpoint::{Checkpoint, Unusable};
pub use data::DatasetRegistration;
pub use data::augment::AugmentationRegistration;
pub use device::DeviceSpec;
pub use error::Error;
pub use model::{Layout, ModelRegistration, ModelSize};
pub use objective::{ObjectiveRegistration, cross_entropy};
pub use optimizer::OptimizerRegistration;
pub use recipe::{Components, check, check_target, describe, resolve};
pub use schedule::ScheduleRegistration;
pub use sites::Activations;
pub use train::{
    Finished, FirstSteps, Monitor, NUMERICS, Stopped, Trainer, first_steps, numerics, train,
};

#[doc(hidden)]
pub mod reexport {
    pub use inventory;
}
