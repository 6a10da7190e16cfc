//! What the columns mean.

use super::Report;
use super::columns::header;
use super::number::grouped;

/// An explanation of every column that some table of `report` has.
pub(super) fn entries(report: &Report) -> Vec<String> {
    let mut entries = vec![format!(
        "{}: runs that completed; figures are means over them unless stated otherwise.",
        header::N
    )];
    if !report.unfinished.is_empty() {
        entries.push(format!(
            "{}, {}: runs that did not complete, of all that ended. A run diverges when its loss \
             becomes NaN or infinite or ends beyond the initial one; it fails when the program does.",
            header::DIVERGED,
            header::FAILED
        ));
    }
    entries.extend([
        format!(
            "{}: accuracy on the test split, judged once, by the weights with the best validation \
             accuracy; mean ± sample standard deviation over runs.",
            header::TEST
        ),
        format!(
            "{}: of the mean, by the percentile bootstrap over runs ({} resamples, seed\u{a0}{}).",
            header::INTERVAL,
            grouped(report.bootstrap.resamples as u64),
            report.bootstrap.seed
        ),
        format!(
            "{}: test accuracy minus the baseline's under the same seed, in percentage points; mean \
             over the seeds that both completed, and its 95\u{a0}% interval. Such a pair starts from \
             the same initialisation and sees the same batches. {}: how many, in a column of its own \
             where it is not n.",
            header::DIFFERENCE,
            header::PAIRS
        ),
        format!("{}: best validation accuracy in percent, and its epoch.", header::VALIDATION),
    ]);
    if report.tasks.iter().any(super::Task::has_target) {
        entries.push(format!(
            "{}: median of the first evaluated step whose validation accuracy reached the target; \
             where not every run reached it, how many of all did and completed.",
            header::TARGET
        ));
    }
    entries.extend([
        format!(
            "{}: trainable ones. {}: floating-point operations of one example's forward pass, a \
             multiply-add counting two.",
            header::PARAMETERS,
            header::FLOPS
        ),
        format!(
            "{}: units (channels or features) whose largest |f′(x)| over a sample of validation data \
             is below 10⁻³. {}: outputs that are exactly zero. {}: inputs at which |f′(x)| is below \
             10⁻³. {} (the mean shift) and {}: of the outputs. All are taken at the last evaluation \
             and averaged over the activation sites, each counting the same.",
            header::DEAD,
            header::ZERO,
            header::SATURATED,
            header::MEAN,
            header::VARIANCE
        ),
        format!(
            "{}, {}: over the training steps alone. They depend on the machine and on what else ran \
             on it; everything else is reproducible.",
            header::SPEED,
            header::TIME
        ),
    ]);
    if report.tasks.iter().any(super::Task::has_energy) {
        entries.push(format!(
            "{}: what processors and GPU took during a run, where the system tells; runs side by side \
             share it evenly.",
            header::ENERGY
        ));
    }
    entries
}
