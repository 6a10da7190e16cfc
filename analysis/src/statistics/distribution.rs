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

/// Quantile of Student's t distribution.
pub(super) fn t_quantile(probability: f64, df: f64) -> Option<f64> {
    let distribution = StudentsT::new(0.0, 1.0, df).ok()?;
    // statrs finds it to about 1e-6; Newton's method does the rest.
    let mut t = distribution.inverse_cdf(probability);
    for _ in 0..4 {
        use statrs::distribution::Continuous;
        let density = distribution.pdf(t);
        if density > 0.0 {
            t -= (distribution.cdf(t) - probability) / density;
        }
    }
    Some(t)
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
    let density = |v: f64| ((half - 1.0) * v.ln() - v / 2.0 - scale).exp();
    let integrand = |v: f64| normal.cdf(t * (v / df).sqrt() - delta) * density(v);
    // In √V the density has no pole at 0.
    Some(integrate(&|u: f64| 2.0 * u * integrand(u * u), low.sqrt(), high.sqrt()))
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

/// P(range of k standard normal variables ≤ q): the studentized range with infinitely many degrees of
/// freedom, k ∫ φ(z) (Φ(z) − Φ(z − q))^(k−1) dz.
pub(super) fn studentized_range_cdf(q: f64, k: usize) -> f64 {
    use statrs::distribution::Continuous;
    let normal = normal();
    let power = i32::try_from(k).unwrap_or(i32::MAX) - 1;
    let integrand = |z: f64| normal.pdf(z) * (normal.cdf(z) - normal.cdf(z - q)).powi(power);
    (k as f64 * integrate(&integrand, -9.0, 9.0 + q.min(30.0))).clamp(0.0, 1.0)
}

/// The q with P(range ≤ q) = `probability`.
pub(super) fn studentized_range_quantile(probability: f64, k: usize) -> f64 {
    let (mut low, mut high) = (0.0, 50.0);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if studentized_range_cdf(middle, k) < probability { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// ∫ f from `low` to `high`, of a smooth f that is wide against a 128th of the range: Gauss–Legendre
/// with ten points on each of 128 parts.
fn integrate(f: &dyn Fn(f64) -> f64, low: f64, high: f64) -> f64 {
    const POINTS: [(f64, f64); 5] = [
        (0.148_874_338_981_631_21, 0.295_524_224_714_752_87),
        (0.433_395_394_129_247_2, 0.269_266_719_309_996_36),
        (0.679_409_568_299_024_4, 0.219_086_362_515_982_04),
        (0.865_063_366_688_984_5, 0.149_451_349_150_580_6),
        (0.973_906_528_517_171_7, 0.066_671_344_308_688_14),
    ];
    const PARTS: usize = 128;
    let half = 0.5 * (high - low) / PARTS as f64;
    (0..PARTS)
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
        let q = studentized_range_quantile(0.95, 2);
        assert!((q / 2f64.sqrt() - 1.959_963_984_540_054).abs() < 1e-9, "{q}");
    }

    #[test]
    fn quantiles_of_t_are_inverse() {
        let t = t_quantile(0.975, 9.0).unwrap();
        assert!((t - 2.262_157_162_798_205).abs() < 1e-9, "{t}");
        assert!((t_two_sided(t, 9.0).unwrap() - 0.05).abs() < 1e-12);
    }
}
