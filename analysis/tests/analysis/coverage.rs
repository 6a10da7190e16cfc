//! How often intervals cover the truth, and how often tests err, by simulation: the tables of the book's chapter on
//! statistics. Each simulation has a seed of its own, so that a run gives the same figures everywhere.

use analysis::statistics::Resolution;
use analysis::statistics::{
    Bootstrap, Crossed, Interval, Looks, Moments, mean, paired_t, probability_of_improvement,
    probability_of_improvement_interval, t_interval, welch_interval,
};
use analysis::{ArmScores, Comparison, Family, Rules, TaskScores, Verdict};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const SIZES: [usize; 5] = [2, 3, 5, 10, 20];

/// Samples of a cell.
const SAMPLES: usize = 2_000;

/// What scores are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// The standard normal distribution.
    Normal,
    /// The exponential distribution, which is skewed.
    Skewed,
    /// Shares of right answers of 100 examples, of which 70 are expected.
    Discrete,
}

impl Shape {
    const ALL: [Self; 3] = [Self::Normal, Self::Skewed, Self::Discrete];

    fn mean(self) -> f64 {
        match self {
            Self::Normal => 0.0,
            Self::Skewed => 1.0,
            Self::Discrete => 0.7,
        }
    }

    fn draw(self, rng: &mut ChaCha8Rng) -> f64 {
        match self {
            Self::Normal => normal(rng),
            Self::Skewed => -libm::log(uniform(rng)),
            Self::Discrete => (0..100).filter(|_| uniform(rng) < 0.7).count() as f64 / 100.0,
        }
    }

    fn sample(self, n: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
        (0..n).map(|_| self.draw(rng)).collect()
    }
}

fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    ((rng.next_u64() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * libm::log(uniform(rng))).sqrt();
    radius * libm::cos(2.0 * std::f64::consts::PI * uniform(rng))
}

/// The share of intervals that contain `truth`, of those that exist, in percent.
fn coverage(
    samples: usize,
    seed: u64,
    truth: f64,
    interval: impl Fn(&mut ChaCha8Rng) -> Option<Interval>,
) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut covered, mut made) = (0_u32, 0_u32);
    for _ in 0..samples {
        if let Some(interval) = interval(&mut rng) {
            made += 1;
            covered += u32::from(interval.contains(truth));
        }
    }
    100.0 * f64::from(covered) / f64::from(made)
}

/// Three standard errors of a share near 95 % of so many samples, in points.
fn noise(samples: usize) -> f64 {
    300.0 * (0.95 * 0.05 / samples as f64).sqrt()
}

fn row(name: &str, cells: &[f64]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:.1}")).collect();
    format!("| {name} | {} |\n", cells.join(" | "))
}

/// The table that the book prints. Intervals of the report (Student's, Welch's) cover 95 % of normal and of discrete
/// scores at every size; of skewed ones less. Resampled intervals, which are in the CSV and JSON alone, do not.
#[test]
fn intervals_cover_what_they_say() {
    let mut table = String::from(
        "| interval, scores | n = 2 | 3 | 5 | 10 | 20 |\n| --- | --: | --: | --: | --: | --: |\n",
    );
    let bootstrap = Bootstrap { resamples: 400, seed: 1 };
    for shape in Shape::ALL {
        let name = format!("{shape:?}").to_lowercase();
        let student = SIZES.map(|n| {
            coverage(SAMPLES, 1, shape.mean(), |rng| t_interval(&shape.sample(n, rng), 0.95))
        });
        let welch = SIZES.map(|n| {
            coverage(SAMPLES, 2, 0.0, |rng| {
                let sides = [shape.sample(n, rng), shape.sample(n, rng)];
                let [a, b] = sides.map(|side| Moments::of(&side).unwrap());
                welch_interval(&a, &b, 0.95)
            })
        });
        let percentile = SIZES.map(|n| {
            coverage(SAMPLES / 4, 3, shape.mean(), |rng| bootstrap.mean(&shape.sample(n, rng)))
        });
        let accelerated = SIZES.map(|n| {
            coverage(SAMPLES / 4, 4, shape.mean(), |rng| bootstrap.mean_bca(&shape.sample(n, rng)))
        });
        table += &row(&format!("Student's, {name}"), &student);
        table += &row(&format!("Welch's, {name}"), &welch);
        table += &row(&format!("bootstrap, {name}"), &percentile);
        table += &row(&format!("BCa, {name}"), &accelerated);
        if shape == Shape::Normal {
            assert!(student.iter().all(|share| (share - 95.0).abs() < noise(SAMPLES)), "{table}");
            // What a report used to show: of two runs half of what it said.
            assert!(percentile[0] < 60.0 && percentile[2] < 90.0, "{table}");
        }
        if shape != Shape::Skewed {
            assert!(student.iter().all(|share| *share > 95.0 - noise(SAMPLES)), "{table}");
            assert!(welch.iter().all(|share| *share > 95.0 - noise(SAMPLES)), "{table}");
        }
    }
    let improvement = SIZES.map(|n| {
        // Runs of one distribution beat each other half of the time.
        coverage(SAMPLES, 5, 0.5, |rng| {
            let (a, b) = (Shape::Normal.sample(n, rng), Shape::Normal.sample(n, rng));
            probability_of_improvement_interval(probability_of_improvement(&a, &b)?, (n, n))
        })
    });
    table += &row("P(better), normal", &improvement);
    // Three runs a side have ten outcomes: an interval cannot be finer than they are.
    assert!(improvement.iter().all(|share| *share > 89.0), "{table}");
    let crossed = SIZES.map(|n| coverage(SAMPLES / 4, 6, 0.0, |rng| crossed(n, rng)));
    table += &row("seeds and examples, normal", &crossed);
    assert!(crossed.iter().all(|share| *share > 95.0 - noise(SAMPLES / 4)), "{table}");
    insta::assert_snapshot!(table);
}

/// Differences of `n` seeds on 60 examples: seeds, examples and their combinations all vary.
fn crossed(n: usize, rng: &mut ChaCha8Rng) -> Option<Interval> {
    let examples: Vec<f64> = (0..60).map(|_| normal(rng)).collect();
    let figures: Vec<Vec<f32>> = (0..n)
        .map(|_| {
            let seed = 0.2 * normal(rng);
            examples.iter().map(|example| (seed + example + normal(rng)) as f32).collect()
        })
        .collect();
    Crossed::of(&figures)?.interval(0.95)
}

/// A task of `n` seeds on which a baseline and `arms` others differ from it by these amounts in truth.
fn task(n: usize, arms: &[f64], rng: &mut ChaCha8Rng) -> TaskScores {
    let shared: Vec<f64> = (0..n).map(|_| normal(rng)).collect();
    let mut arm = |label: String, gain: f64| {
        let score = |(seed, shared): (usize, &f64)| (seed.to_string(), shared + gain + normal(rng));
        ArmScores::new(label, shared.iter().enumerate().map(score).collect())
    };
    let mut all = vec![arm("baseline".into(), 0.0)];
    all.extend(arms.iter().enumerate().map(|(i, gain)| arm(format!("arm {i}"), *gain)));
    let resolution = Resolution::Rounding;
    TaskScores { task: "t".into(), arms: all, guessing: None, resolution, metric: None }
}

fn rules(margin: Option<f64>, family: Family) -> Rules {
    Rules {
        baseline: "baseline".into(),
        margin,
        bootstrap: Bootstrap { resamples: 0, seed: 0 },
        family,
        all_pairs: None,
        looks: None,
    }
}

/// A false claim of any kind, over a whole report of two tasks: at most one time in twenty.
#[test]
fn a_report_makes_a_false_claim_one_time_in_twenty() {
    let reports = 800;
    // Four runs take a wide margin.
    for (n, margin) in [(3, None), (10, None), (4, Some(8.0))] {
        // Some arms are exactly at the margin, where "equivalent" is barely false.
        let gains = margin.map_or([0.0; 3], |margin| [0.0, margin, -margin]);
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut wrong = 0;
        let mut covered = (0, 0);
        for _ in 0..reports {
            let tasks = [task(n, &gains, &mut rng), task(n, &gains, &mut rng)];
            let comparison = Comparison::new(&tasks, &rules(margin, Family::Report));
            let arms = comparison.tasks.iter().flat_map(|task| task.arms.iter().skip(1).zip(gains));
            let mut any = false;
            for (arm, gain) in arms {
                let against = arm.against.as_ref().unwrap();
                any |= match against.verdict {
                    Verdict::Better => gain <= 0.0,
                    Verdict::Worse => gain >= 0.0,
                    Verdict::Equivalent => gain.abs() >= margin.unwrap(),
                    _ => false,
                };
                covered.0 += u32::from(against.interval.unwrap().contains(gain));
                covered.1 += 1;
            }
            wrong += u32::from(any);
        }
        let rate = f64::from(wrong) / f64::from(reports);
        assert!(
            rate < 0.05 + 3.0 * (0.05 * 0.95 / f64::from(reports)).sqrt(),
            "{n} {margin:?}: {rate}"
        );
        if margin.is_none() {
            // The corrected intervals are no narrower than 95 % ones.
            let share = f64::from(covered.0) / f64::from(covered.1);
            assert!(share > 0.95, "{n}: {share}");
        }
    }
}

/// The error rate over all looks at growing samples, small ones included, and what looking does without bounds.
#[test]
fn looking_early_keeps_the_error_rate() {
    let sweeps = 4_000;
    for looks in [vec![3, 5, 10], vec![5, 10, 20], vec![2, 4, 8, 16], (2..=10).collect()] {
        let plan = Looks::new(&looks).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let (mut bounded, mut naive) = (0, 0);
        for _ in 0..sweeps {
            let differences: Vec<f64> =
                (0..*looks.last().unwrap()).map(|_| normal(&mut rng)).collect();
            let p: Vec<f64> =
                looks.iter().map(|n| paired_t(&differences[..*n]).unwrap().p).collect();
            bounded += u32::from(plan.p(&p).0 <= 0.05);
            naive += u32::from(p.iter().any(|p| *p <= 0.05));
        }
        let rate = |count: u32| f64::from(count) / f64::from(sweeps);
        let allowed = 0.05 + 3.0 * (0.05 * 0.95 / f64::from(sweeps)).sqrt();
        assert!(rate(bounded) < allowed, "{looks:?}: {}", rate(bounded));
        assert!(rate(naive) > 0.08, "{looks:?}: {}", rate(naive));
    }
}

#[test]
fn the_simulation_draws_what_it_says() {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    for shape in Shape::ALL {
        let values = shape.sample(20_000, &mut rng);
        assert!((mean(&values).unwrap() - shape.mean()).abs() < 0.03, "{shape:?}");
    }
}
