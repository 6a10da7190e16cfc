//! What scores can resolve: differences that are equal but for rounding are made equal.

/// Values that differ by at most so many units in the last place of the larger of their scores are the same. A score
/// and a subtraction are each rounded by half a unit, so that two equal differences are at most three apart.
const UNITS: f64 = 8.0;

/// Powers of ten up to this one are whole in double precision.
const EXACT_POWERS: i32 = 22;

/// Scores times so much are whole numbers that double precision still holds exactly.
const EXACT_WHOLE: f64 = 9_007_199_254_740_992.0;

/// The finest step between two scores of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// A score is the share of so many examples, as accuracy is.
    Examples(u64),
    /// Nothing is known but that scores are numbers in double precision, most often written as decimals.
    Rounding,
}

impl Resolution {
    /// The differences `a − b` of `pairs`, without what rounding adds: differences that are equal are equal to
    /// the last bit, also where one is positive and the other negative, and those of equal scores are 0.
    #[must_use]
    pub fn differences(self, pairs: &[(f64, f64)]) -> Vec<f64> {
        if let Self::Examples(examples) = self
            && let Some(differences) = by_counts(pairs, examples as f64)
        {
            return differences;
        }
        // A pair is rounded by its own size: another that is larger by far says nothing of it.
        let size = |(a, b): &(f64, f64)| UNITS * f64::EPSILON * a.abs().max(b.abs());
        let tolerances: Vec<f64> = pairs.iter().map(size).collect();
        let raw: Vec<f64> = pairs.iter().map(|(a, b)| decimal_difference(*a, *b)).collect();
        joined(&raw, &tolerances)
    }

    /// The scores themselves, those made equal that differ by rounding alone.
    #[must_use]
    pub fn scores(self, scores: &[f64]) -> Vec<f64> {
        let pairs: Vec<(f64, f64)> = scores.iter().map(|score| (*score, 0.0)).collect();
        self.differences(&pairs)
    }
}

/// Differences of counts; nothing where a score is no share of `examples`.
fn by_counts(pairs: &[(f64, f64)], examples: f64) -> Option<Vec<f64>> {
    let count = |score: f64| {
        let count = (score * examples).round();
        ((score * examples - count).abs() <= 1e-6 && examples < EXACT_WHOLE).then_some(count)
    };
    pairs.iter().map(|(a, b)| Some((count(*a)? - count(*b)?) / examples)).collect()
}

/// `a − b`; where both are decimals of few digits, the decimal that is their difference.
fn decimal_difference(a: f64, b: f64) -> f64 {
    let decimals = decimals(a).max(decimals(b));
    if (1..=EXACT_POWERS).contains(&decimals) {
        let power = 10f64.powi(decimals);
        if a.abs().max(b.abs()) * power < EXACT_WHOLE {
            return ((a * power).round() - (b * power).round()) / power;
        }
    }
    a - b
}

/// Digits after the point in the shortest decimal that is read as `value`.
fn decimals(value: f64) -> i32 {
    let text = format!("{value:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return 0 };
    let after_point = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    i32::try_from(after_point).unwrap_or(i32::MAX) - exponent.parse::<i32>().unwrap_or(0)
}

/// `values` where sizes that lie within the larger of their `tolerances` of each other have become one, and those within
/// their own of 0 have become 0. Signs stay.
fn joined(values: &[f64], tolerances: &[f64]) -> Vec<f64> {
    let all = values.iter().chain(tolerances);
    if all.into_iter().any(|value| !value.is_finite()) {
        return values.to_vec();
    }
    let differs = |place: &usize| values[*place].abs() > tolerances[*place];
    let mut order: Vec<usize> = (0..values.len()).filter(differs).collect();
    order.sort_by(|a, b| values[*a].abs().total_cmp(&values[*b].abs()));
    let mut joined = vec![0.0; values.len()];
    let mut begin = 0;
    while begin < order.len() {
        let first = order[begin];
        let is_first = |place: &&usize| {
            let tolerance = tolerances[**place].max(tolerances[first]);
            values[**place].abs() - values[first].abs() <= tolerance
        };
        let group = order[begin..].iter().take_while(is_first).count();
        let group = &order[begin..begin + group];
        let size = plainest(group.iter().map(|place| values[*place].abs()));
        for place in group {
            joined[*place] = size.copysign(values[*place]);
        }
        begin += group.len();
    }
    joined
}

/// The one of `sizes` that is written with the fewest digits: 0.1, and not 0.10000000000000003.
fn plainest(sizes: impl Iterator<Item = f64>) -> f64 {
    let mut distinct: Vec<f64> = sizes.collect();
    distinct.dedup();
    if let [size] = distinct[..] {
        return size;
    }
    distinct.into_iter().min_by_key(|size| format!("{size:e}").len()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equal_differences_are_equal() {
        let differences = |pairs: &[(f64, f64)]| Resolution::Rounding.differences(pairs);
        assert_eq!(differences(&[(0.2, 0.1), (0.8, 0.7)]), [0.1, 0.1]);
        assert_eq!(differences(&[(0.7545, 0.75), (0.755, 0.7505)]), [0.0045, 0.0045]);
        assert_eq!(differences(&[(0.2, 0.3), (0.5, 0.4)]), [-0.1, 0.1]);
        // Thirds have no decimals that end.
        let thirds = differences(&[(2.0 / 3.0, 1.0 / 3.0), (1.0, 2.0 / 3.0), (1.0 / 3.0, 0.0)]);
        assert_eq!(thirds[0].to_bits(), thirds[1].to_bits());
        assert_eq!(thirds[1].to_bits(), thirds[2].to_bits());
        // 0.1 + 0.2 is 0.30000000000000004.
        assert_eq!(differences(&[(0.1 + 0.2, 0.3)]), [0.0]);
    }

    #[test]
    fn a_huge_score_makes_no_other_difference_zero() {
        let small = [(20.1, 20.0), (20.0, 20.3), (19.9, 20.3)];
        let alone = Resolution::Rounding.differences(&small);
        for huge in [3e13, 1e15, 1e16, 1e300] {
            let pairs = [&small[..], &[(huge, huge), (-huge, 0.0)]].concat();
            let differences = Resolution::Rounding.differences(&pairs);
            assert_eq!(differences[..3], alone);
            assert_eq!(differences[3..], [0.0, -huge]);
        }
    }

    #[test]
    fn differences_that_are_nearly_equal_stay_apart() {
        let pairs = [(0.9140, 0.9121), (0.9171, 0.9154), (0.9105, 0.9087)];
        assert_eq!(Resolution::Rounding.differences(&pairs), [0.0019, 0.0017, 0.0018]);
        let close = Resolution::Rounding.differences(&[(1.0 + 1e-12, 1.0), (1.0 + 2e-12, 1.0)]);
        assert_ne!(close[0], close[1]);
    }

    #[test]
    fn size_does_not_matter() {
        for scale in [1e-180, 1e-20, 1e20, 1e180] {
            let pairs = [(3.0 * scale, scale), (4.0 * scale, 2.0 * scale)];
            let differences = Resolution::Rounding.differences(&pairs);
            assert_eq!(differences[0], differences[1]);
            assert!((differences[0] / scale - 2.0).abs() < 1e-12);
        }
    }

    #[test]
    fn scores_that_are_no_shares_are_taken_as_numbers() {
        assert_eq!(Resolution::Examples(2000).differences(&[(0.5, 0.12345)]), [0.37655]);
    }

    proptest! {
        /// Two pairs of counts with one difference have one difference of shares, whatever the number of examples.
        #[test]
        fn counts_are_exact(
            examples in 2u64..100_000, a in 0.0..1.0f64, b in 0.0..1.0f64, by in 0.0..1.0f64,
        ) {
            let whole = examples as f64;
            let [a, b, by] = [a, b, by].map(|part| (part * whole / 2.0).floor());
            let pairs = [((a + by) / whole, a / whole), ((b + by) / whole, b / whole)];
            for resolution in [Resolution::Examples(examples), Resolution::Rounding] {
                let differences = resolution.differences(&pairs);
                prop_assert_eq!(differences[0].to_bits(), differences[1].to_bits());
                prop_assert!((differences[0] - by / whole).abs() < 1e-15);
            }
        }
    }
}
