//! What `--help` says behind the flags: examples, whose lines fit 80 columns, and paragraphs, which clap wraps.

pub(crate) const ACTLAB: &str = "\
Examples:
  actlab sweep                      train and compare experiments/quick.toml
  actlab init mine.toml             write an experiment of your own
  actlab sweep mine.toml --dry-run  show what would be trained, and how long
  actlab open results/mine          open the report in a browser
  actlab list                       show the activations
  actlab explain 'x * tanh(x)'      formula, derivative, plot, range and cost
  actlab eval gelu -- -1 0 1        value and derivative at some points
  actlab new activation mine        create an activation of your own

In a checkout, `cargo run -p runner --` stands for `actlab`.

Exit codes: 0 success, 1 something that was tried failed, 2 wrong input, 130 interrupted.";

pub(crate) const SWEEP: &str = "\
Examples:
  actlab sweep
  actlab sweep mine.toml --dry-run
  actlab sweep --activations relu,gelu,mish --seeds 10 --name mine
  actlab sweep --tasks fashion_resnet8 --baseline gelu --name images
  actlab sweep --set tasks.fashion_resnet8.training.budget.epochs=1
  ACTLAB_SEEDS=3 actlab sweep --dry-run
  actlab sweep --wandb offline --tensorboard

The same command resumes a stopped sweep, and prints the report of a finished one. Values come from the defaults, \
then the file, then the environment (ACTLAB_KEY, with __ for a dot), then flags.";

pub(crate) const SEARCH: &str = "\
Examples:
  actlab search experiments/search.toml
  actlab search mine.toml --dry-run
  actlab search mine.toml --set search.seed=7 --set search.generations=10

SPEC is an experiment with a [search] table: which functions, operators and constants formulas are made of, how many \
are trained, and with which seeds. Formulas are judged by validation data alone. The best are then trained with the \
experiment's seeds beside its activations, and the report says how many formulas were tried and corrects for that. \
The same command resumes a stopped search.";

pub(crate) const TRAIN: &str = "\
Examples:
  actlab train --activation gelu
  actlab train mine.toml --activation 'leaky_relu(slope=0.2)' --seed 7
  actlab train --activation relu --task fashion_resnet8 --name try
  actlab train --activations relu,gelu --seeds 3 --name try

Runs are in results/NAME/runs, where a sweep of that name finds them done. `actlab report` and `actlab status` show \
them. In a folder without a sweep the report compares with the activation that comes first in the alphabet; \
`actlab report FOLDER --baseline NAME` takes another.";

pub(crate) const PLAN: &str = "\
Examples:
  actlab plan experiments/quick.toml --effect 0.5
  actlab plan mine.toml --effect 0.3 --pilot 5 --json

Finished runs of the experiment are the pilot; where an activation has fewer than --pilot of them, pilot runs with \
seeds of their own are trained first, in results/NAME-pilot. The plan depends on the spread of differences under \
shared seeds, never on the differences.";

pub(crate) const CONFIRM: &str = "\
Examples:
  actlab confirm results/quick
  actlab confirm results/quick --seeds 10 --activation gelu

The best of several is likely to be overestimated. This trains it and the baseline again, on seeds that the sweep has \
not used, and tests the one difference that was stated before.";

pub(crate) const REPORT: &str = "\
Examples:
  actlab report results/quick
  actlab report results/quick --full                 all of report.md
  actlab report results/quick --baseline gelu,silu   beside other baselines
  actlab report results/quick --watch                while the sweep runs
  actlab report results/quick --parquet

The folder may be that of a sweep, of runs that `actlab train` has trained, or of one run.";

pub(crate) const PLOT: &str = "\
Examples:
  actlab plot results/quick --plot difference --format pdf --width 84mm
  actlab plot results/quick --plot curve --format png --width 160mm --title
  actlab plot results/quick --list";

pub(crate) const STATUS: &str = "\
Examples:
  actlab status results/quick
  watch actlab status results/quick

The folder may be that of a sweep, of runs that `actlab train` has trained, or of one run.";

pub(crate) const RESULTS: &str = "\
Examples:
  actlab results                  sweeps in the folder results, one line each
  actlab results results/quick    the runs of one sweep
  actlab results --runs --json
  actlab results rm quick         delete a sweep, after a question
  actlab results gc               delete runs that no report reads";

pub(crate) const RESULTS_RM: &str = "\
Examples:
  actlab results rm quick
  actlab results rm results/quick/runs/gelu-reviews_bert_tiny-s1-* --yes";

pub(crate) const RESULTS_GC: &str = "\
Examples:
  actlab results gc
  actlab results gc results/quick --yes

Runs of an earlier form of an experiment are deleted, and runs that `actlab train` has trained in the folder of a \
sweep that does not name them.";

pub(crate) const OPEN: &str = "\
Examples:
  actlab open results/quick
  actlab open results/quick --print

Without a display the path of the page is printed.";

pub(crate) const RERUN: &str = "\
Example:
  actlab rerun results/quick/runs/gelu-reviews_bert_tiny-s1-*";

pub(crate) const COMPARE: &str = "\
Example:
  actlab compare results/before results/after";

pub(crate) const STATS: &str = "\
Examples:
  actlab stats scores.csv --baseline relu
  actlab stats scores.csv --baseline relu --margin 0.005 --all-pairs holm
  actlab stats published.csv --baseline relu --json

The table has the columns activation, task, seed and score (higher is better), one row per run; a column guessing, \
the score of guessing on the task, lets scores be pooled over tasks. A table of published results has the columns \
activation, task, n, mean and sd, one row per activation.";

pub(crate) const SYNC: &str = "\
Examples:
  actlab sync wandb/offline-run-*
  actlab sync results/quick
  actlab sync results/quick --mlflow=http://localhost:5000

What has arrived before is not sent again. Runs that were to be logged to MLflow go there, others to W&B, whose key \
is WANDB_API_KEY, or that of the host in ~/.netrc. --mlflow sends all runs to MLflow, and none to W&B.";

pub(crate) const INIT: &str = "\
Examples:
  actlab init
  actlab init mine.toml --model bert --activations relu,gelu,silu --seeds 10
  actlab init rows.toml --data table --path rows.csv --label species --yes

On a terminal, what no flag gives is asked for.";

pub(crate) const LIST: &str = "\
Examples:
  actlab list                    every activation, one line each
  actlab list --long             also formulas, parameters, and notes
  actlab list models
  actlab list optimizers --json";

pub(crate) const SITES: &str = "\
Examples:
  actlab sites --model resnet --set depth=20
  actlab sites --model bert --set size=mini \\
    --activation 'gelu[layers.0.*=relu]'
  actlab sites --model gpt --set size=nano --activation swiglu --json";

pub(crate) const CHECK: &str = "\
Examples:
  actlab check
  actlab check gelu 'leaky_relu(slope=0.2)'
  actlab check --device cuda
  actlab check --device cuda --training experiments/quick.toml";

pub(crate) const EVAL: &str = "\
Examples:
  actlab eval gelu
  actlab eval 'leaky_relu(slope=0.2)' -- -2 -1 0 1 2
  actlab eval swiglu --json -- 1,2 -1,0.5
  actlab eval gelu --path kernel -- 0.5
  actlab eval 'x * sigmoid(b * x) where b=1.5' -- 1

A gated activation takes gate,value pairs.";

pub(crate) const EXPLAIN: &str = "\
Examples:
  actlab explain silu
  actlab explain 'x * sigmoid(1.702 * x)' --svg quick_gelu.svg
  actlab explain relu gelu silu

Several are shown side by side. Of a gated activation the nonlinearity of its gate is explained. Figures under \
N(0, 1) are those of f(z) for a standard normal z; weights with the gain 1/√E[f²] keep a second moment of 1.";

pub(crate) const PROPAGATE: &str = "\
Examples:
  actlab propagate
  actlab propagate relu gelu silu --init matched
  actlab propagate selu --init lecun --depth 100

The network has linear layers without bias, each followed by the activation; its inputs are N(0, 1).";

pub(crate) const ENV: &str = "\
Examples:
  actlab env
  actlab env --json";

pub(crate) const SCHEMA: &str = "\
Example:
  actlab schema > schema.json

An editor that knows it completes and checks experiment files, whose first line is `#:schema ./schema.json`.";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  actlab completions bash > ~/.local/share/bash-completion/completions/actlab
  actlab completions fish > ~/.config/fish/completions/actlab.fish
  actlab completions --install ~/.local";

pub(crate) const BENCH: &str = "\
Examples:
  actlab bench step --model resnet20 --activation gelu
  actlab bench ops --threads 1";

pub(crate) const BENCH_STEP: &str = "\
Examples:
  actlab bench step --model resnet20 --activation gelu
  actlab bench step --model bert-mini --activation swiglu --threads 2 --json";

pub(crate) const BENCH_OPS: &str = "\
Examples:
  actlab bench ops
  actlab bench ops --threads 1 --only 'gelu forward' --json";

pub(crate) const DATA: &str = "\
Examples:
  actlab data list
  actlab data fetch cifar-10";

pub(crate) const DATA_LIST: &str = "\
Example:
  actlab data list --data-dir /data";

pub(crate) const DATA_FETCH: &str = "\
Example:
  actlab data fetch cifar-10

Where the network cannot be reached, fetch the files elsewhere and name their folder with --folder, or with \
`data_folders` in the experiment.";

pub(crate) const DATA_VERIFY: &str = "\
Examples:
  actlab data verify movie-reviews
  actlab data verify mnist --folder /usr/share/datasets/mnist";

pub(crate) const NEW: &str = "\
Example:
  actlab new activation mine --formula 'x * tanh(x)'";

pub(crate) const NEW_ACTIVATION: &str = "\
Examples:
  actlab new activation mine --formula 'x * tanh(x)'
  actlab new activation mine --formula 'x * sigmoid(b * x)' --parameter b=1.5
  actlab new activation mine              a crate, with the formula in Rust
  actlab new activation mine --external   a crate outside of this checkout

A card is a TOML file in crates/activations/cards, and needs no Rust.";
