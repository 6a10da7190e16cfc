//! Hyperband of W&B's as successive halving.

use super::file::EarlyTerminate;
use super::{Refusal, refuse};
use crate::experiment::words::number;
use serde_json::{Value, json};

/// Evaluations beyond which no comparison is planned.
const MOST_EVALUATIONS: u64 = 1_000_000;

/// Brackets beyond which there are no more, as each is half as long or less.
const MOST_BRACKETS: f64 = 64.0;

/// A key of `early_terminate`, with the value that it must have.
type Wrong = (&'static str, String);

impl EarlyTerminate {
    /// Successive halving with the brackets of Hyperband, whose iterations are evaluations, and the key that decides
    /// when trials are compared first.
    pub(super) fn policy(&self) -> Result<(Value, &'static str), Refusal> {
        let at = |(key, message): Wrong| {
            let dot = if key.is_empty() { "" } else { "." };
            (format!("early_terminate{dot}{key}"), message)
        };
        if self.kind != "hyperband" {
            return refuse("early_terminate.type", format!("must be hyperband, not {}", self.kind));
        }
        if self.strict == Some(false) {
            return refuse(
                "early_terminate.strict",
                "must be true or absent: a trial that is not among the best ends",
            );
        }
        let eta = whole("eta", self.eta.unwrap_or(3.0), 2.0, f64::from(u32::MAX)).map_err(at)?;
        let (after, key) = self.brackets(eta).map_err(at)?;
        Ok((json!({ "policy": "successive_halving", "after": after, "eta": eta }), key))
    }

    /// Evaluations after which trials are compared, ascending.
    fn brackets(&self, eta: u64) -> Result<(Vec<u64>, &'static str), Wrong> {
        let longest = 1e15;
        match (self.min_iter, self.max_iter, self.s) {
            (Some(first), None, None) => {
                let first = whole("min_iter", first, 1.0, longest)?;
                let all = std::iter::successors(Some(first), |after| after.checked_mul(eta));
                // The first is kept in any case, so that it can be compared with the length of a trial.
                let later = all.skip(1).take_while(|after| *after <= MOST_EVALUATIONS);
                Ok((std::iter::once(first).chain(later).collect(), "min_iter"))
            }
            (None, Some(last), Some(brackets)) => {
                let last = whole("max_iter", last, 1.0, longest)?;
                let brackets = whole("s", brackets, 1.0, MOST_BRACKETS)?;
                let mut after: Vec<u64> = (1..=brackets)
                    .map_while(|i| last.checked_div(eta.checked_pow(i as u32)?))
                    .collect();
                after.retain(|after| *after >= 1);
                after.reverse();
                after.dedup();
                if after.is_empty() {
                    let message = format!("must be {eta} or more, which is `eta`, and is {last}");
                    return Err(("max_iter", message));
                }
                Ok((after, "max_iter"))
            }
            _ => Err(("", "needs either `min_iter`, or `max_iter` and `s`".to_owned())),
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "compared before")]
fn whole(key: &'static str, value: f64, least: f64, most: f64) -> Result<u64, Wrong> {
    if value.fract() == 0.0 && (least..=most).contains(&value) {
        return Ok(value as u64);
    }
    let [least, most, value] = [least, most, value].map(number);
    Err((key, format!("must be a whole number from {least} to {most}, not {value}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brackets(
        min_iter: Option<f64>,
        max_iter: Option<f64>,
        s: Option<f64>,
        eta: u64,
    ) -> Vec<u64> {
        let kind = "hyperband".to_owned();
        let early = EarlyTerminate { kind, min_iter, max_iter, s, eta: None, strict: None };
        early.brackets(eta).unwrap().0
    }

    /// The brackets of W&B's own scheduler.
    #[test]
    fn brackets_are_powers_of_eta() {
        assert_eq!(brackets(Some(3.0), None, None, 3)[..4], [3, 9, 27, 81]);
        assert_eq!(brackets(None, Some(27.0), Some(2.0), 3), [3, 9]);
        assert_eq!(brackets(None, Some(27.0), Some(3.0), 2), [3, 6, 13]);
        assert_eq!(brackets(None, Some(10.0), Some(5.0), 3), [1, 3]);
    }
}
