//! Tables of scores with accidental changes: each is compared or refused, and what is printed is valid.

use super::change::{Dice, damaged, mutated, value};
use super::survive::{Call, Case, survives};

const SEEDS: &str = "activation,task,seed,score
relu,images,1,0.812
relu,images,2,0.805
relu,images,3,0.821
gelu,images,1,0.825
gelu,images,2,0.811
gelu,images,3,0.829
relu,words,1,0.7
relu,words,2,0.71
gelu,words,1,0.7
gelu,words,2,0.73
";

const PUBLISHED: &str = "activation,task,n,mean,sd
mish,CIFAR-10,3,87.48,0.397
relu,CIFAR-10,3,86.66,0.584
swish,CIFAR-10,5,87.1,0.2
relu,CIFAR-100,23,60.2,1.1
mish,CIFAR-100,23,61.5,0.9
";

const GUESSING: &str = "activation,task,seed,score,guessing
relu,t,1,0.5,0.1
relu,t,2,0.5,0.1
gelu,t,1,0.6,0.1
gelu,t,2,0.6,0.1
swiglu,t,1,0.55,0.1
swiglu,t,2,0.65,0.1
";

const QUOTED: &str = "\"task\",\"activation\",\"seed\",\"score\"
\"a, b\",\"leaky_relu(slope=0.2)\",1,1e3
\"a, b\",\"leaky_relu(slope=0.2)\",2,1.1e3
\"a, b\",\"relu\",1,9e2
\"a, b\",\"relu\",2,9.5e2
";

/// Options, each with values that are right, or near that.
const OPTIONS: &[(&str, &[&str])] = &[
    ("--margin", &["0.01", "0.05", "1", "1e-300", "100"]),
    ("--all-pairs", &["holm", "tukey"]),
    ("--family", &["task", "report"]),
    ("--resamples", &["0", "1", "100"]),
];

/// A table of many rows, so that lengths and numbers of arms vary.
fn long(dice: &mut Dice) -> String {
    let mut table = "activation,task,seed,score\n".to_owned();
    let (arms, seeds) = (2 + dice.below(6), 1 + dice.below(30));
    for arm in 0..arms {
        for seed in 0..seeds {
            let score = dice.below(1000);
            table += &format!("arm{arm},t{},{seed},0.{score:03}\n", dice.below(2));
        }
    }
    table
}

/// 300 cases of several shapes, with options.
#[test]
fn changed_scores_are_compared_or_refused() {
    survives(300, 5, |place, dice| {
        let text = match dice.below(6) {
            0 | 1 => SEEDS.to_owned(),
            2 => PUBLISHED.to_owned(),
            3 => GUESSING.to_owned(),
            4 => QUOTED.to_owned(),
            _ => long(dice),
        };
        let bytes = match dice.below(6) {
            0 => damaged(text.into_bytes(), dice),
            _ => mutated(text, dice),
        };
        std::fs::write(place.path("case.csv"), &bytes).unwrap();
        let mut call = Call::new(&["stats", "case.csv", "--baseline", "relu"], &[0, 2]);
        for (option, values) in OPTIONS {
            match dice.below(30) {
                0 => call = call.with(&[&format!("{option}={}", value(dice))]),
                1..=8 => call = call.with(&[option, values[dice.below(values.len())]]),
                _ => {}
            }
        }
        let call = if dice.below(3) == 0 { call } else { call.with(&["--json"]).json() };
        Case { calls: vec![call], input: String::from_utf8_lossy(&bytes).into_owned() }
    });
}
