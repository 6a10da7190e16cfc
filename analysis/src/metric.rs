//! What the runs of a task are judged by, and how its values are written.

use crate::Error;
use crate::render::number::{fixed, group};
use crate::render::text::{escape, unescape};
use record::{Direction, Metric, RunRecord, StoredRun, Summary};
use std::sync::LazyLock;

/// Digits after the point beyond which a double says nothing.
const MOST_DIGITS: usize = 12;

/// Units of the last digit up to which whole numbers are exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Sizes from which a number is written with an exponent.
const LARGE: f64 = 1e6;

/// All of something, in percent.
const WHOLE: f64 = 100.0;

/// Name of the metric that every evaluation has in a field of its own.
const LOSS: &str = "loss";

/// What early records, which do not say it, were judged by.
static EARLY: LazyLock<Metric> = LazyLock::new(|| Metric::accuracy(None));

/// What a run was judged by, but for what guessing scores in early records: large reports ask for it often.
fn of_run(summary: &Summary) -> &Metric {
    summary.metric.as_ref().unwrap_or(&EARLY)
}

/// What `runs`, all of one task, are judged by. Of several that differ in what guessing scores, one that knows it.
///
/// # Errors
/// [`Error::Metrics`] if two of them are judged by different metrics.
pub(crate) fn of_task(runs: &[&StoredRun]) -> Result<Metric, Error> {
    let mut found: Option<Metric> = None;
    for run in runs {
        let Some(summary) = &run.record.summary else { continue };
        match &mut found {
            None => found = Some(summary.metric()),
            Some(known) if !same(known, of_run(summary)) => {
                return Err(Error::Metrics {
                    task: run.record.spec.task.clone(),
                    first: known.label.clone(),
                    second: of_run(summary).label.clone(),
                });
            }
            Some(known) if known.known_guessing().is_none() => *known = summary.metric(),
            Some(_) => {}
        }
    }
    // Runs that failed before their first step tell nothing, and have no values to write.
    Ok(found.unwrap_or_else(|| EARLY.clone()))
}

/// Whether values of both can be set against each other.
pub(crate) fn same(a: &Metric, b: &Metric) -> bool {
    let scale = a.scale.to_bits() == b.scale.to_bits();
    a.name == b.name && a.unit == b.unit && a.direction == b.direction && scale
}

/// The metric with its words escaped for Markdown: they come from records, and may hold anything.
pub(crate) fn in_markdown(metric: &Metric) -> Metric {
    Metric { label: escape(&metric.label), unit: escape(&metric.unit), ..metric.clone() }
}

/// The metric with its words as they were before [`in_markdown`].
pub(crate) fn out_of_markdown(metric: &Metric) -> Metric {
    Metric { label: unescape(&metric.label), unit: unescape(&metric.unit), ..metric.clone() }
}

/// Those of `metrics` that are not the same, in their order.
pub(crate) fn distinct<'a>(metrics: impl IntoIterator<Item = &'a Metric>) -> Vec<&'a Metric> {
    let mut distinct: Vec<&Metric> = Vec::new();
    for metric in metrics {
        if !distinct.iter().any(|known| same(known, metric)) {
            distinct.push(metric);
        }
    }
    distinct
}

/// What `words` says of each of `metrics`, every saying once.
pub(crate) fn alternatives(metrics: &[&Metric], words: impl Fn(&Metric) -> String) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    for metric in metrics {
        let text = words(metric);
        if !said.contains(&text) {
            said.push(text);
        }
    }
    said
}

/// The value of the run's own metric on the test split, where it was measured there: also one that is not finite.
pub(crate) fn test_value(run: &RunRecord) -> Option<f64> {
    let summary = run.summary.as_ref()?;
    let (test, metric) = (summary.test.as_ref()?, of_run(summary));
    let measured = metric.name == LOSS || test.metrics.get(&metric.name).is_some();
    measured.then(|| test.value(metric))
}

/// How values of a metric are written and compared. Recorded values keep their sign everywhere; only
/// [`Metric::merit`] and [`Metric::is_better`] know which of them are better.
pub(crate) trait Shown {
    /// Whether a value is a share of the whole, which is shown in percent and differs in points.
    fn is_share(&self) -> bool;
    /// What guessing scores, where that is known.
    fn known_guessing(&self) -> Option<f64>;
    /// A value in units of the last digit that is shown. What a report says of equality and sign is decided on this,
    /// so that it never contradicts its tables.
    fn last_digits(&self, value: f64) -> f64;
    /// A value without its unit: `84.20`, `2.1043`.
    fn number(&self, value: f64) -> String;
    /// A value with its unit: `84.20 %`, `2.1043 bits/byte`.
    fn quantity(&self, value: f64) -> String;
    /// A difference, signed unless it is shown as zero: `+0.60`, `−0.0500`.
    fn difference(&self, value: f64) -> String;
    /// The unit of differences: `points`, `bits/byte`.
    fn difference_unit(&self) -> &str;
    /// A difference with its unit, which follows `number`.
    fn with_difference_unit(&self, number: &str) -> String;
    /// An unsigned difference with its unit, as of a margin: `0.50 points`.
    fn size(&self, value: f64) -> String;
    /// A detectable difference without its unit: `0.84`; `over 100` where it is more than the whole, which no two shares
    /// differ by.
    fn detectable(&self, value: f64) -> String;
    /// Header of a column of values: `test %`, `test bits/byte`; of a metric without a unit by its name.
    fn header(&self, what: &str) -> String;
    /// Header of a column of differences: `MDE, points`.
    fn difference_header(&self, what: &str) -> String;
    /// The name, and the unit where the name does not say it.
    fn named_with_unit(&self) -> String;
    /// What the best of several values is.
    fn best_word(&self) -> &'static str;
    /// Where better values lie.
    fn better_side(&self) -> &'static str;
    /// The best of `values`.
    fn best(&self, values: impl Iterator<Item = f64>) -> Option<f64>;
}

impl Shown for Metric {
    fn is_share(&self) -> bool {
        self.unit == "%"
    }

    fn known_guessing(&self) -> Option<f64> {
        Some(self.guessing).filter(|value| value.is_finite())
    }

    fn last_digits(&self, value: f64) -> f64 {
        // One product: where a value lies half-way, two would round otherwise.
        (value * (self.scale * power(self.digits))).round()
    }

    fn number(&self, value: f64) -> String {
        let last = self.last_digits(value);
        let (shown, decimals) = (value * self.scale, self.digits.min(MOST_DIGITS));
        if !last.is_finite() || last.abs() >= EXACT || shown.abs() >= LARGE {
            return fixed(shown, decimals);
        }
        let digits = format!("{:.0}", last.abs());
        let digits = format!("{digits:0>width$}", width = decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        let sign = if last < 0.0 { "−" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{sign}{}{point}{fraction}", group(whole))
    }

    fn quantity(&self, value: f64) -> String {
        join(&self.number(value), &self.unit)
    }

    fn difference(&self, value: f64) -> String {
        let plus = if self.last_digits(value) > 0.0 { "+" } else { "" };
        format!("{plus}{}", self.number(value))
    }

    fn difference_unit(&self) -> &str {
        if self.is_share() { "points" } else { &self.unit }
    }

    fn with_difference_unit(&self, number: &str) -> String {
        join(number, self.difference_unit())
    }

    fn size(&self, value: f64) -> String {
        self.with_difference_unit(&self.number(value))
    }

    fn detectable(&self, value: f64) -> String {
        match self.is_share() && value * self.scale > WHOLE {
            true => format!("over {WHOLE}"),
            false => self.number(value),
        }
    }

    fn header(&self, what: &str) -> String {
        format!("{what} {}", if self.unit.is_empty() { &self.label } else { &self.unit })
    }

    fn difference_header(&self, what: &str) -> String {
        match self.difference_unit() {
            "" => what.to_owned(),
            unit => format!("{what}, {unit}"),
        }
    }

    fn named_with_unit(&self) -> String {
        if self.unit.is_empty() || self.unit.replace('/', " per ") == self.label {
            return self.label.clone();
        }
        format!("{} ({})", self.label, self.unit)
    }

    fn best_word(&self) -> &'static str {
        match self.direction {
            Direction::Higher => "highest",
            Direction::Lower => "lowest",
        }
    }

    fn better_side(&self) -> &'static str {
        match self.direction {
            Direction::Higher => "above",
            Direction::Lower => "below",
        }
    }

    fn best(&self, values: impl Iterator<Item = f64>) -> Option<f64> {
        values.reduce(|best, value| if self.is_better(value, best) { value } else { best })
    }
}

fn power(digits: usize) -> f64 {
    // At most 12.
    10f64.powi(digits.min(MOST_DIGITS) as i32)
}

fn join(number: &str, unit: &str) -> String {
    if unit.is_empty() { number.to_owned() } else { format!("{number}\u{a0}{unit}") }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What language models are judged by.
    pub(crate) fn bits_per_byte() -> Metric {
        Metric {
            name: "bits_per_byte".into(),
            label: "bits per byte".into(),
            unit: "bits/byte".into(),
            scale: 1.0,
            digits: 4,
            direction: Direction::Lower,
            guessing: 8.0,
        }
    }

    #[test]
    fn shares_become_percent_with_two_decimals() {
        let metric = Metric::accuracy(None);
        assert_eq!(metric.number(0.842), "84.20");
        assert_eq!(metric.number(1.0), "100.00");
        assert_eq!(metric.number(0.00004), "0.00");
        assert_eq!(metric.number(-0.0123), "−1.23");
        assert_eq!(metric.quantity(0.5), "50.00\u{a0}%");
    }

    #[test]
    fn differences_are_signed_unless_they_round_to_zero() {
        let metric = Metric::accuracy(None);
        assert_eq!(metric.difference(0.006), "+0.60");
        assert_eq!(metric.difference(-0.001), "−0.10");
        assert_eq!(metric.difference(-0.00004), "0.00");
        assert_eq!(metric.difference(0.00004), "0.00");
        // Half of the last digit, where two products would round apart.
        assert_eq!(metric.difference(0.00125), "+0.13");
        assert_eq!(metric.with_difference_unit("+0.60"), "+0.60\u{a0}points");
    }

    #[test]
    fn every_metric_has_its_unit_and_digits() {
        let metric = bits_per_byte();
        assert_eq!(metric.quantity(2.1), "2.1000\u{a0}bits/byte");
        assert_eq!(metric.difference(-0.05), "−0.0500");
        assert_eq!(metric.header("test"), "test bits/byte");
        assert_eq!(metric.difference_header("MDE"), "MDE, bits/byte");
        assert_eq!(metric.named_with_unit(), "bits per byte");
        let perplexity =
            Metric { label: "perplexity".into(), unit: String::new(), digits: 0, ..metric.clone() };
        assert_eq!(perplexity.quantity(12_345.4), "12\u{a0}345");
        assert_eq!(perplexity.number(3.2e8), "3.20e8");
        assert_eq!(perplexity.header("test"), "test perplexity");
        assert_eq!(perplexity.difference_header("MDE"), "MDE");
        // Bits, recorded in nats.
        let scaled = Metric { scale: std::f64::consts::LOG2_E, digits: 400, ..metric };
        assert_eq!(scaled.number(std::f64::consts::LN_2), "1.000000000000");
    }

    #[test]
    fn what_is_not_finite_is_written_as_what_it_is() {
        let metric = bits_per_byte();
        assert_eq!(metric.number(f64::NAN), "NaN");
        assert_eq!(metric.difference(f64::NEG_INFINITY), "−∞");
        assert_eq!(metric.known_guessing(), Some(8.0));
        assert_eq!(Metric::accuracy(None).known_guessing(), None);
    }

    #[test]
    fn the_best_value_is_that_of_the_direction() {
        let values = || [2.1, 2.05, f64::NAN].into_iter();
        assert_eq!(bits_per_byte().best(values()), Some(2.05));
        assert_eq!(Metric::accuracy(None).best(values()), Some(2.1));
    }
}
