//! Splits of data that has none of its own.

use super::Part;
use super::catalogue::{Key, key};
use crate::stream::Stream;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;

/// Examples that a class needs: one for each split.
const FEWEST: usize = 3;

/// Positions of the examples of training, validation and test: of each class, `held_out` of its examples and at least
/// one are in each of the latter two. Examples with equal `keys` are in one split. The same labels and keys always give
/// the same splits.
///
/// # Errors
/// What is wrong, where a class has too few examples.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are far below 2^52"
)]
pub(super) fn stratified<K: Eq + Hash>(
    labels: &[&str],
    keys: &[K],
    held_out: f64,
) -> Result<[Vec<usize>; 3], String> {
    let mut classes: BTreeMap<&str, Vec<Vec<usize>>> = BTreeMap::new();
    // The class and the place in it of the examples with a key.
    let mut known: HashMap<&K, (&str, usize)> = HashMap::new();
    for (place, (label, key)) in labels.iter().zip(keys).enumerate() {
        let groups = classes.entry(label).or_default();
        let (label, group) = *known.entry(key).or_insert((label, groups.len()));
        let groups = classes.entry(label).or_default();
        match groups.get_mut(group) {
            Some(equal) => equal.push(place),
            None => groups.push(vec![place]),
        }
    }
    let repeated = known.len() < labels.len();
    let mut parts = [Vec::new(), Vec::new(), Vec::new()];
    for (label, places) in classes {
        let n = places.len();
        if n < FEWEST {
            let (s, different) =
                (if n == 1 { "" } else { "s" }, if repeated { "different " } else { "" });
            return Err(format!(
                "the class `{label}` has {n} {different}example{s}, but {FEWEST} are needed to split them: add some, or give \
                 splits"
            ));
        }
        let held = ((n as f64 * held_out).round() as usize).clamp(1, (n - 1) / 2);
        let order = Stream::new(0, &format!("split/{label}")).permutation(n);
        let chosen =
            |from: usize, to: usize| order[from..to].iter().flat_map(|i| places[*i].clone());
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

/// The class of an example in validation or test of which training has none.
pub(super) fn untrained(parts: &[Part; 3]) -> Option<usize> {
    let trained: HashSet<usize> = parts[0].labels.iter().copied().collect();
    parts[1..].iter().flat_map(|part| &part.labels).copied().find(|class| !trained.contains(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_is_in_each_split() {
        let labels: Vec<&str> = (0..100).map(|i| if i < 90 { "many" } else { "few" }).collect();
        let places: Vec<usize> = (0..100).collect();
        let parts = stratified(&labels, &places, 0.1).unwrap();
        let counts = parts.each_ref().map(|part| {
            let few = part.iter().filter(|place| labels[**place] == "few").count();
            (part.len() - few, few)
        });
        assert_eq!(counts, [(72, 8), (9, 1), (9, 1)]);
        let mut all = parts.concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        assert_eq!(stratified(&labels, &places, 0.1).unwrap(), parts);
        assert!(
            stratified(&["a", "a", "a", "b", "b"], &places[..5], 0.4)
                .unwrap_err()
                .contains("`b` has 2 examples")
        );
    }

    #[test]
    fn equal_examples_are_in_one_split_and_none_is_lost() {
        // A hundred different examples, each ten times, of which every seventh row has another label.
        let keys: Vec<usize> = (0..1000).map(|i| i % 100).collect();
        let label = |i: usize| if (i % 100) % 2 == (i % 7) / 6 { "even" } else { "odd" };
        let labels: Vec<&str> = (0..1000).map(label).collect();
        let parts = stratified(&labels, &keys, 0.1).unwrap();
        let mut all = parts.concat();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
        let of_part =
            parts.each_ref().map(|part| part.iter().map(|i| keys[*i]).collect::<HashSet<_>>());
        assert_eq!(of_part.each_ref().map(HashSet::len), [80, 10, 10]);
        assert_eq!(of_part.iter().flatten().collect::<HashSet<_>>().len(), 100);
        let few =
            stratified(&["a", "a", "a", "b", "b", "b"], &[1, 2, 3, 4, 4, 4], 0.1).unwrap_err();
        assert!(few.contains("`b` has 1 different example, but 3"), "{few}");
    }
}
