//! Splits of data that has none of its own.

use super::Part;
use super::catalogue::{Key, key};
use crate::stream::Stream;
use std::collections::{BTreeMap, HashSet};

/// Examples that a class needs: one for each split.
const FEWEST: usize = 3;

/// Positions of the examples of training, validation and test: of each class, `held_out` of its examples and at least
/// one are in each of the latter two. The same labels always give the same splits.
///
/// # Errors
/// What is wrong, where a class has too few examples.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are far below 2^52"
)]
pub(super) fn stratified(labels: &[&str], held_out: f64) -> Result<[Vec<usize>; 3], String> {
    let mut classes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, label) in labels.iter().enumerate() {
        classes.entry(label).or_default().push(place);
    }
    let mut parts = [Vec::new(), Vec::new(), Vec::new()];
    for (label, places) in classes {
        let n = places.len();
        if n < FEWEST {
            let s = if n == 1 { "" } else { "s" };
            return Err(format!(
                "the class `{label}` has {n} example{s}, but {FEWEST} are needed to split them: add some, or give splits"
            ));
        }
        let held = ((n as f64 * held_out).round() as usize).clamp(1, (n - 1) / 2);
        let order = Stream::new(0, &format!("split/{label}")).permutation(n);
        let chosen = |from: usize, to: usize| order[from..to].iter().map(|place| places[*place]);
        parts[1].extend(chosen(0, held));
        parts[2].extend(chosen(held, 2 * held));
        parts[0].extend(chosen(2 * held, n));
    }
    parts.iter_mut().for_each(|part| part.sort_unstable());
    Ok(parts)
}

/// The splits without what stands again in a later one, so that no duplicate crosses a split that chance has made.
pub(super) fn without_duplicates([train, validation, test]: [Part; 3]) -> [Part; 3] {
    let mut known: HashSet<Key<'_>> = (0..test.len()).map(|i| key(&test, i)).collect();
    let mut fresh = Vec::new();
    for part in [&validation, &train] {
        let own: Vec<usize> = (0..part.len()).filter(|i| !known.contains(&key(part, *i))).collect();
        known.extend(own.iter().map(|i| key(part, *i)));
        fresh.push(own);
    }
    let (validation, train) = (validation.select(&fresh[0]), train.select(&fresh[1]));
    drop(known);
    [train, validation, test]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_is_in_each_split() {
        let labels: Vec<&str> = (0..100).map(|i| if i < 90 { "many" } else { "few" }).collect();
        let parts = stratified(&labels, 0.1).unwrap();
        let counts = parts.each_ref().map(|part| {
            let few = part.iter().filter(|place| labels[**place] == "few").count();
            (part.len() - few, few)
        });
        assert_eq!(counts, [(72, 8), (9, 1), (9, 1)]);
        let mut all = parts.concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        assert_eq!(stratified(&labels, 0.1).unwrap(), parts);
        assert!(
            stratified(&["a", "a", "a", "b", "b"], 0.4).unwrap_err().contains("`b` has 2 examples")
        );
    }
}
