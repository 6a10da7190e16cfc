//! The device that a user names.

use crate::console::note;
use crate::execute::launcher::LauncherKind;
use crate::experiment::Experiment;
use actlab_core::DeviceSpec;

/// The word for the best device of this machine.
const AUTO: &str = "auto";

/// The device of `text`; which one `auto` is gets printed.
///
/// # Errors
/// If there is no such word.
pub(crate) fn named(text: &str) -> Result<DeviceSpec, actlab_core::Error> {
    if text != AUTO {
        return text.parse();
    }
    let device = DeviceSpec::best();
    note!("device: auto is {device}");
    Ok(device)
}

/// The device of an experiment.
///
/// # Errors
/// If there is no such word, or its meaning is not known where the runs are trained.
pub(crate) fn of(experiment: &Experiment) -> Result<DeviceSpec, crate::Error> {
    let error = |what: &dyn std::fmt::Display| experiment.error("device", what);
    if experiment.device == AUTO && experiment.launcher == LauncherKind::Slurm {
        return Err(error(
            &"`auto` is the best device of this machine, and Slurm trains on others: name one, as in `cuda`",
        ));
    }
    named(&experiment.device).map_err(|reason| match reason {
        // The key and the value tell that it is a device.
        actlab_core::Error::Device { device, reason } => error(&format!("`{device}`: {reason}")),
        other => error(&other),
    })
}
