//! Seeds under which several arms have scores: the blocks of tests of all arms at once.

use super::{ArmScores, TaskScores};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Scores of every arm under each seed that all of them have.
pub(super) fn blocks(task: &TaskScores) -> Vec<Vec<f64>> {
    let maps: Vec<HashMap<&str, f64>> = task
        .arms
        .iter()
        .map(|arm| arm.runs.iter().map(|(seed, score)| (seed.as_str(), *score)).collect())
        .collect();
    let seeds: Vec<&String> = task
        .arms
        .first()
        .map(|arm| arm.runs.iter().map(|(seed, _)| seed).collect())
        .unwrap_or_default();
    let mut seen = BTreeSet::new();
    seeds
        .into_iter()
        .filter(|seed| seen.insert(*seed))
        .filter_map(|seed| maps.iter().map(|scores| scores.get(seed.as_str()).copied()).collect())
        .map(|block: Vec<f64>| task.resolution.scores(&block))
        .collect()
}

/// Seeds under which any of `arms` has a score.
pub(super) fn all_seeds(arms: &[ArmScores]) -> usize {
    seeds_of(arms).into_iter().flatten().collect::<HashSet<_>>().len()
}

/// Places of the arms that a test in blocks is of, in their order; none where no two arms share two seeds.
///
/// A block takes a score of every arm, so that an arm that lacks seeds takes them from all others. The arm whose seeds the
/// others share least is left out, then the next, and of the sets on this way that one is taken whose test has the most
/// degrees of freedom, (arms − 1)(blocks − 1). The choice follows from the seeds alone, never from the scores.
pub(super) fn family(arms: &[ArmScores]) -> Vec<usize> {
    let seeds = seeds_of(arms);
    let mut left: Vec<usize> = (0..arms.len()).collect();
    let (mut most, mut shared) = (0, HashSet::new());
    while left.len() > 1 {
        let times = times(&seeds, &left);
        let whole = || times.iter().filter(|(_, times)| **times == left.len());
        let freedom = (left.len() - 1) * whole().count().saturating_sub(1);
        if freedom > most {
            most = freedom;
            shared = whole().map(|(seed, _)| *seed).collect();
        }
        let least = least_shared(&seeds, &left, &times);
        left.retain(|arm| Some(*arm) != least);
    }
    // An arm that has all of these seeds takes none from the others.
    let has_all = |arm: &usize| most > 0 && shared.is_subset(&seeds[*arm]);
    (0..arms.len()).filter(has_all).collect()
}

fn seeds_of(arms: &[ArmScores]) -> Vec<HashSet<&str>> {
    arms.iter().map(|arm| arm.runs.iter().map(|(seed, _)| seed.as_str()).collect()).collect()
}

/// How many of the arms at `places` have each seed.
fn times<'a>(seeds: &[HashSet<&'a str>], places: &[usize]) -> HashMap<&'a str, usize> {
    let mut times = HashMap::new();
    for seed in places.iter().flat_map(|place| &seeds[*place]) {
        *times.entry(*seed).or_default() += 1;
    }
    times
}

/// The place of the arm whose seeds the others have least often; of equal ones the last.
fn least_shared(
    seeds: &[HashSet<&str>],
    places: &[usize],
    times: &HashMap<&str, usize>,
) -> Option<usize> {
    let others =
        |place: &usize| -> usize { seeds[*place].iter().map(|seed| times[seed] - 1).sum() };
    places.iter().copied().rev().min_by_key(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places of the family of arms that have these seeds.
    fn of<const N: usize>(seeds: [&[u32]; N]) -> Vec<usize> {
        let arm = |seeds: &[u32]| {
            let runs = seeds.iter().map(|seed| (seed.to_string(), 0.5));
            ArmScores::new("arm".into(), runs.collect())
        };
        family(&seeds.map(arm))
    }

    #[test]
    fn an_arm_that_lacks_many_seeds_leaves_them_to_the_others() {
        let (six, three) = (&[1, 2, 3, 4, 5, 6][..], &[1, 2, 3][..]);
        // With the last (4 − 1)(3 − 1) = 6 degrees of freedom, without it (3 − 1)(6 − 1) = 10.
        assert_eq!(of([six, six, six, three]), [0, 1, 2]);
        assert_eq!(of([three, six, six, six]), [1, 2, 3]);
        // 3 · 4 = 12 with it, and 10 without it.
        assert_eq!(of([six, six, six, &six[1..]]), [0, 1, 2, 3]);
        // Two arms lack the same seeds, and a third one lacks one: 2 · 8 = 16.
        let ten: Vec<u32> = (1..=10).collect();
        assert_eq!(of([&ten, &ten, &ten[..9], &ten[..3], &ten[..3]]), [0, 1, 2]);
    }

    #[test]
    fn arms_without_common_seeds_are_not_in_one_family() {
        let (first, second) = (&[1, 2, 3, 4, 5][..], &[11, 12, 13, 14, 15, 16][..]);
        assert_eq!(of([first, first, second]), [0, 1]);
        assert_eq!(of([first, second, first]), [0, 2]);
        assert_eq!(of([first, second]), [0; 0]);
        assert_eq!(of([&[1], &[1], &[1]]), [0; 0]);
        assert_eq!(of([&[], first, first]), [1, 2]);
    }
}
