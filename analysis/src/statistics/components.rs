//! Where spread comes from: variance components of balanced designs, in closed form.

use super::bootstrap::Interval;
use super::mean;
use super::student::around;
use serde::Serialize;

/// A mean over seeds and test examples, both drawn at random (crossed random effects, one figure a cell).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Crossed {
    /// The mean over all.
    pub mean: f64,
    /// Standard deviation between seeds, were every example there is in the test split; 0 where the figures show none.
    pub seeds: f64,
    /// Standard deviation between examples, the same for all seeds.
    pub examples: f64,
    /// What is left: how seeds differ on single examples.
    pub rest: f64,
    /// Standard error of the mean, for other seeds and other examples.
    pub error: f64,
    /// Degrees of freedom of that error: those of the seeds, of which there are few. So an interval is never narrower
    /// than one over the seeds alone.
    pub degrees_of_freedom: f64,
}

impl Crossed {
    /// The components of `figures[seed][example]`, by expected mean squares (Searle, Casella and McCulloch 1992,
    /// section 4.3).
    ///
    /// [`None`] of fewer than two seeds or examples, or where seeds differ in their examples.
    #[must_use]
    pub fn of<T: Copy + Into<f64>>(figures: &[Vec<T>]) -> Option<Self> {
        let (s, e) = (figures.len(), figures.first()?.len());
        if s < 2 || e < 2 || figures.iter().any(|seed| seed.len() != e) {
            return None;
        }
        let (rows, columns) = (s as f64, e as f64);
        let of_seeds: Vec<f64> = figures
            .iter()
            .map(|seed| seed.iter().copied().map(T::into).sum::<f64>() / columns)
            .collect();
        let mut of_examples = vec![0.0_f64; e];
        for seed in figures {
            for (sum, figure) in of_examples.iter_mut().zip(seed) {
                *sum += (*figure).into() / rows;
            }
        }
        let grand = mean(&of_seeds)?;
        let mut rest = 0.0;
        for (seed, own) in figures.iter().zip(&of_seeds) {
            for (figure, example) in seed.iter().zip(&of_examples) {
                let residual = (*figure).into() - own - example + grand;
                rest += residual * residual;
            }
        }
        let squares = |means: &[f64]| means.iter().map(|mean| (mean - grand).powi(2)).sum::<f64>();
        let (df_rows, df_columns) = (rows - 1.0, columns - 1.0);
        let ms_seeds = columns * squares(&of_seeds) / df_rows;
        let ms_examples = rows * squares(&of_examples) / df_columns;
        let ms_rest = rest / (df_rows * df_columns);
        // By chance the sum can fall below a part of it, or below nothing.
        let sum = (ms_seeds + ms_examples - ms_rest).max(ms_seeds).max(ms_examples);
        Some(Self {
            mean: grand,
            seeds: ((ms_seeds - ms_rest) / columns).max(0.0).sqrt(),
            examples: ((ms_examples - ms_rest) / rows).max(0.0).sqrt(),
            rest: ms_rest.sqrt(),
            error: (sum / (rows * columns)).sqrt(),
            degrees_of_freedom: df_rows,
        })
    }

    /// Interval of the mean at `level`, for other seeds and other examples; none where nothing varies.
    #[must_use]
    pub fn interval(&self, level: f64) -> Option<Interval> {
        (self.error > 0.0)
            .then(|| around(self.mean, self.error, self.degrees_of_freedom, level))
            .flatten()
    }
}

/// Differences of one activation to the baseline under the seeds of several tasks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Nested {
    /// Standard deviation between tasks, were there any number of seeds; 0 where the figures show none.
    pub tasks: f64,
    /// Standard deviation between the seeds of a task.
    pub seeds: f64,
}

impl Nested {
    /// The components of `groups[task][seed]`, by expected mean squares; [`None`] of fewer than two tasks or
    /// seeds, or where tasks differ in the number of seeds.
    #[must_use]
    pub fn of(groups: &[Vec<f64>]) -> Option<Self> {
        let (tasks, n) = (groups.len(), groups.first()?.len());
        if tasks < 2 || n < 2 || groups.iter().any(|group| group.len() != n) {
            return None;
        }
        let means: Vec<f64> = groups.iter().map(|group| mean(group)).collect::<Option<_>>()?;
        let grand = mean(&means)?;
        let between = n as f64 * means.iter().map(|mean| (mean - grand).powi(2)).sum::<f64>()
            / (tasks - 1) as f64;
        let distances = |(group, mean): (&Vec<f64>, &f64)| {
            group.iter().map(|value| (value - mean).powi(2)).sum::<f64>()
        };
        let within =
            groups.iter().zip(&means).map(distances).sum::<f64>() / (tasks * (n - 1)) as f64;
        Some(Self { tasks: ((between - within) / n as f64).max(0.0).sqrt(), seeds: within.sqrt() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::t_interval;

    /// By hand: mean squares 19/6, 8/3 and 1/6 of three seeds and two examples.
    #[test]
    fn components_by_expected_mean_squares() {
        let figures = [[1.0_f32, 2.0], [2.0, 4.0], [0.0, 1.0]].map(|seed| seed.to_vec());
        let crossed = Crossed::of(&figures).unwrap();
        let (ms_seeds, ms_examples, ms_rest) = (19.0 / 6.0, 8.0 / 3.0, 1.0 / 6.0);
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        near(crossed.mean, 5.0 / 3.0);
        near(crossed.seeds.powi(2), (ms_seeds - ms_rest) / 2.0);
        near(crossed.examples.powi(2), (ms_examples - ms_rest) / 3.0);
        near(crossed.rest.powi(2), ms_rest);
        let sum: f64 = ms_seeds + ms_examples - ms_rest;
        near(crossed.error.powi(2), sum / 6.0);
        near(crossed.degrees_of_freedom, 2.0);
        // Examples can only add to what seeds alone leave open.
        let seeds: Vec<f64> =
            figures.iter().map(|seed| f64::from(seed[0] + seed[1]) / 2.0).collect();
        let (own, both) = (t_interval(&seeds, 0.95).unwrap(), crossed.interval(0.95).unwrap());
        assert!(both.low <= own.low && own.high <= both.high, "{both:?} {own:?}");
        assert_eq!(Crossed::of(&figures[..1]), None);
        assert_eq!(Crossed::of(&vec![vec![1.0; 5]; 3]).unwrap().interval(0.95), None);
    }

    #[test]
    fn seeds_of_a_task_are_alike() {
        let nested = Nested::of(&[vec![1.0, 3.0], vec![5.0, 7.0]]).unwrap();
        // Between: 2 · (2² + 2²) / 1 = 16; within: (1 + 1 + 1 + 1) / 2 = 2.
        assert!((nested.tasks.powi(2) - 7.0).abs() < 1e-12);
        assert!((nested.seeds.powi(2) - 2.0).abs() < 1e-12);
        assert_eq!(Nested::of(&[vec![1.0, 3.0], vec![5.0]]), None);
        assert_eq!(Nested::of(&[vec![1.0, 3.0], vec![3.0, 1.0]]).unwrap().tasks, 0.0);
    }
}
