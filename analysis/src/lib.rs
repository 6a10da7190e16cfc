//! Records in; tables, statistics and reports out.
//!
//! [`Report::from_runs`] takes the finished runs of a sweep and answers its question: which
//! activation did best on each task, and how sure are we? The way through the crate is
//!
//! 1. `frame`: the records become a polars table, one row a run, in the order of the experiment;
//! 2. `summary`: rows are paired with the baseline by seed and grouped into arms, one per task and
//!    activation, and each arm is described by [`statistics`];
//! 3. `comparison`: the arms are set against the baseline, which gives verdicts; so are scores from elsewhere
//!    ([`read_scores`], [`Comparison`]), and pilot runs are planned by ([`plan_seeds`]);
//! 4. `report`: the arms become Markdown, CSV, LaTeX and a page, and `plot`s, which are data first and drawn
//!    after.
//!
//! What a task is judged by, its primary metric, comes with the records (`metric`): its name, unit and digits are those of
//! every table and sentence, and its direction decides which of two values is better. Values and differences are shown
//! as they were recorded, so that 0.05 fewer bits per byte are "−0.0500" and better.
//!
//! The result is a function of the set of runs and the options: the order in which runs are given,
//! hash maps and thread counts do not enter.
//!
//! ```no_run
//! use analysis::{Report, ReportOptions};
//! use std::path::Path;
//!
//! let runs = record::read_runs(Path::new("results/activations/runs"))?;
//! let options = ReportOptions { baseline: Some("relu".into()), ..ReportOptions::default() };
//! let written = Report::from_runs(&runs, &options)?.write(Path::new("results/activations"))?;
//! println!("{}", written.markdown.display());
//! # Ok::<(), analysis::Error>(())
//! ```

mod comparison;
mod curve;
mod error;
mod export;
mod frame;
mod metric;
mod order;
mod parallel;
mod planning;
mod plot;
mod render;
mod report;
mod setup;
mod side_by_side;
pub mod statistics;
mod summary;

pub use comparison::{
    ALPHA, Against, AllPairs, ArmFigures, ArmScores, Comparison, Equivalence, Family, LookPlan,
    Overall, POWER, Pair, Power, RankTests, Rules, TaskComparison, TaskScores, TestFigures,
    TukeyBlocks, Verdict, read_scores,
};
pub use error::Error;
pub use export::Exported;
pub use planning::{Needed, SeedPlan, plan_seeds};
pub use report::{
    Commands, Confirms, Drawing, Drawn, Formula, Generation, Grammar, Picture, PictureFont,
    PictureFormat, Registration, Report, ReportOptions, Search, Shape, Trial, Tuning, Written,
    draw_shapes, scores_of,
};
pub use side_by_side::{Side, side_by_side};
