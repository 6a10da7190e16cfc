//! Distributions that `statrs` lacks: Student's t away from its centre, and the studentized range.

use statrs::distribution::{ContinuousCDF, Gamma, Normal, StudentsT};
use statrs::function::gamma::ln_gamma;

/// The standard normal distribution.
pub(super) fn normal() -> Normal {
    Normal::standard()
}

/// Two-sided tail of Student's t distribution with `df` degrees of freedom.
pub(super) fn t_two_sided(t: f64, df: f64) -> Option<f64> {
    let distribution = StudentsT::new(0.0, 1.0, df).ok()?;
    Some((2.0 * distribution.sf(t.abs())).min(1.0))
}

/// The t beyond which both tails of Student's distribution with `df` degrees of freedom hold `both_tails`
/// together.
pub(super) fn t_critical(both_tails: f64, df: f64) -> Option<f64> {
    let inside = both_tails > 0.0 && both_tails < 1.0;
    let distribution = StudentsT::new(0.0, 1.0, df).ok().filter(|_| inside)?;
    let tails = |t: f64| 2.0 * distribution.sf(t);
    let mut high = 1.0;
    while tails(high) > both_tails {
        high *= 2.0;
        if high > 1e300 {
            return None;
        }
    }
    Some(bisect(0.0, high, |t| tails(t) > both_tails))
}

/// Where `before`, which holds up to some point between `low` and `high`, ceases to.
pub(super) fn bisect(mut low: f64, mut high: f64, before: impl Fn(f64) -> bool) -> f64 {
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return middle;
        }
        if before(middle) { low = middle } else { high = middle }
    }
}

/// Student's distribution function with `df` degrees of freedom.
pub(super) fn t_cdf(t: f64, df: f64) -> Option<f64> {
    Some(StudentsT::new(0.0, 1.0, df).ok()?.cdf(t))
}

/// Distribution function of the noncentral t distribution with `df` degrees of freedom and noncentrality
/// `delta`: (Z + δ) / √(V/df) for a normal Z and a χ² variable V, averaged over V.
pub(super) fn noncentral_t_cdf(t: f64, df: f64, delta: f64) -> Option<f64> {
    let (normal, chi) = (normal(), Gamma::new(df / 2.0, 0.5).ok()?);
    // Over quantiles of V the integrand is bounded, and smooth inside.
    let tail = 1e-13;
    let (low, high) = (chi_quantile(&chi, tail, df), chi_quantile(&chi, 1.0 - tail, df));
    let half = df / 2.0;
    let scale = ln_gamma(half) + half * std::f64::consts::LN_2;
    // The density itself overflows on the way where df is large.
    let density = |v: f64| libm::exp((half - 1.0) * libm::log(v) - v / 2.0 - scale);
    let integrand = |v: f64| normal.cdf(t * (v / df).sqrt() - delta) * density(v);
    // In √V the density has no pole at 0.
    Some(integrate(&|u: f64| 2.0 * u * integrand(u * u), low.sqrt(), high.sqrt(), PARTS))
}

/// Quantile of the χ² distribution with `df` degrees of freedom.
pub(super) fn chi_quantile_of(df: f64, probability: f64) -> Option<f64> {
    let chi = Gamma::new(df / 2.0, 0.5).ok()?;
    let high = df + 60.0 * df.sqrt() + 100.0;
    Some(bisect(0.0, high, |v| chi.cdf(v) < probability))
}

fn chi_quantile(chi: &Gamma, probability: f64, df: f64) -> f64 {
    let (mut low, mut high) = (0.0, df + 60.0 * df.sqrt() + 100.0);
    // It bounds an integral whose tails are nothing, or where df is small lies close to 0.
    while high - low > 1e-6 * high && high > 1e-30 {
        let middle = 0.5 * (low + high);
        if chi.cdf(middle) < probability { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// P(range of k standard normal variables > q): the upper tail of the studentized range with infinitely many
/// degrees of freedom.
///
/// With z the largest of them it is k ∫ φ(z) (Φ(z)^(k−1) − (Φ(z) − Φ(z − q))^(k−1)) dz. The difference of powers is
/// taken by its logarithm, so that small tails keep their digits.
pub(super) fn range_tail(q: f64, k: usize) -> f64 {
    use statrs::distribution::Continuous;
    let normal = normal();
    let power = k as f64 - 1.0;
    let integrand = |z: f64| {
        let (all, below) = (normal.cdf(z), normal.cdf(z - q));
        if all <= 0.0 {
            return 0.0;
        }
        let missing = -libm::expm1(power * libm::log1p(-(below / all).min(1.0)));
        normal.pdf(z) * libm::pow(all, power) * missing
    };
    (k as f64 * integrate(&integrand, -9.0, 9.0 + q.min(60.0), PARTS)).clamp(0.0, 1.0)
}

/// P(studentized range of k > q), with `df` degrees of freedom of the deviation: [`range_tail`] averaged over
/// the deviation √(χ²/df).
pub(super) fn studentized_range_tail(q: f64, k: usize, df: f64) -> Option<f64> {
    let chi = Gamma::new(df / 2.0, 0.5).ok()?;
    let half = df / 2.0;
    let scale = ln_gamma(half) + half * std::f64::consts::LN_2;
    let (low, high) = (chi_quantile(&chi, 1e-13, df), chi_quantile(&chi, 1.0 - 1e-13, df));
    let integrand = |root: f64| {
        let v = root * root;
        let density = libm::exp((half - 1.0) * libm::log(v) - v / 2.0 - scale);
        2.0 * root * density * range_tail(q * (v / df).sqrt(), k)
    };
    Some(integrate(&integrand, low.sqrt(), high.sqrt(), FEW_PARTS).clamp(0.0, 1.0))
}

/// The q that the range exceeds with probability `tail`.
pub(super) fn range_critical(tail: f64, k: usize) -> f64 {
    bisect(0.0, 60.0, |q| range_tail(q, k) > tail)
}

/// Parts of an interval of integration, each with ten points.
const PARTS: usize = 128;

/// The same where every point is an integral itself.
const FEW_PARTS: usize = 12;

/// ∫ f from `low` to `high`, of a smooth f that is wide against a part of the range: Gauss–Legendre with ten
/// points on each of `parts`.
fn integrate(f: &dyn Fn(f64) -> f64, low: f64, high: f64, parts: usize) -> f64 {
    const POINTS: [(f64, f64); 5] = [
        (0.148_874_338_981_631_21, 0.295_524_224_714_752_87),
        (0.433_395_394_129_247_2, 0.269_266_719_309_996_36),
        (0.679_409_568_299_024_4, 0.219_086_362_515_982_04),
        (0.865_063_366_688_984_5, 0.149_451_349_150_580_6),
        (0.973_906_528_517_171_7, 0.066_671_344_308_688_14),
    ];
    let half = 0.5 * (high - low) / parts as f64;
    (0..parts)
        .map(|part| {
            let middle = low + half * (2 * part + 1) as f64;
            let sum = POINTS
                .iter()
                .map(|(x, weight)| weight * (f(middle - half * x) + f(middle + half * x)));
            half * sum.sum::<f64>()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scipy.stats.nct.cdf
    #[test]
    fn noncentral_t() {
        for (t, df, delta, expected) in [
            (0.0, 9.0, 0.0, 0.5),
            (2.0, 9.0, 1.5, 0.655_875_913_998_549_9),
            (3.182_446_305_284_263, 3.0, 4.0, 0.245_016_160_275_844_52),
            (12.706_204_736_174_7, 1.0, 10.0, 0.432_693_433_598_078_66),
            (-1.0, 4.0, 0.5, 0.086_149_569_036_562_82),
            (2.5, 30.0, 2.0, 0.675_723_698_972_817_5),
        ] {
            let ours = noncentral_t_cdf(t, df, delta).unwrap();
            assert!((ours - expected).abs() < 1e-9, "{t} {df} {delta}: {ours}");
        }
    }

    #[test]
    fn a_range_of_two_is_a_difference() {
        // |Z₁ − Z₂| ≤ √2 · 1.96
        let q = range_critical(0.05, 2);
        assert!((q / 2f64.sqrt() - 1.959_963_984_540_054).abs() < 1e-9, "{q}");
    }

    /// `scipy.stats.studentized_range.sf`, and mpmath for the far tail.
    #[test]
    fn tails_of_the_studentized_range() {
        for (q, k, df, expected) in [
            (3.5, 3, 10.0, 0.077_103_310_838_41),
            (4.0, 5, 8.0, 0.117_648_425_777_277),
            (6.0, 5, 36.0, 0.001_314_109_387_572),
            (12.0, 4, 12.0, 1.064_664_118_744e-5),
        ] {
            let ours = studentized_range_tail(q, k, df).unwrap();
            assert!((ours / expected - 1.0).abs() < 1e-6, "{q} {k} {df}: {ours}");
        }
    }

    #[test]
    fn critical_values_of_t_are_inverse() {
        let t = t_critical(0.05, 9.0).unwrap();
        assert!((t - 2.262_157_162_798_205).abs() < 1e-12, "{t}");
        for (both_tails, df) in [(0.05, 1.0), (1e-6, 2.0), (1e-12, 30.0), (0.999, 4.0)] {
            let t = t_critical(both_tails, df).unwrap();
            assert!((t_two_sided(t, df).unwrap() / both_tails - 1.0).abs() < 1e-11, "{t}");
        }
        // Student's distribution with two degrees of freedom has a closed form.
        let t: f64 = 27f64.sqrt();
        let exact = 1.0 - t / (2.0 + t * t).sqrt();
        assert!((t_two_sided(t, 2.0).unwrap() / exact - 1.0).abs() < 1e-12);
    }
}
