//! How formulas stand among each other.

use super::front::{Objectives, by_fitness, fronts};
use crate::tune::Score;
use activation::{Symbol, Tree};
use actlab_core::stream::Stream;
use std::cmp::Ordering;

/// What is known of a formula that was trained.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    /// Comparisons that it has been through.
    pub(super) comparisons: usize,
    /// By task: its score at the last of them.
    pub(super) scores: Vec<Score>,
    pub(super) cost: u32,
}

/// The place of each by score: those that were trained longer come first, and of equally long ones the better by the mean
/// of their ranks over tasks. Equal scores share a rank.
pub(super) fn places(all: &[&Standing]) -> Vec<f64> {
    let rank = |one: &Standing, task: usize| {
        let count = |order: Ordering| {
            let peers = all.iter().filter(|other| other.comparisons == one.comparisons);
            let own = |other: &&&Standing| other.scores[task].order(&one.scores[task]) == order;
            peers.filter(own).count() as f64
        };
        // One of the equals is the formula itself.
        count(Ordering::Less) + (count(Ordering::Equal) - 1.0) / 2.0
    };
    let place = |one: &&Standing| {
        let before = all.iter().filter(|other| other.comparisons > one.comparisons).count() as f64;
        let tasks = one.scores.len();
        let ranks: f64 = (0..tasks).map(|task| rank(one, task)).sum();
        before + ranks / (tasks.max(1) as f64)
    };
    all.iter().map(place).collect()
}

fn objectives(all: &[&Standing]) -> Vec<Objectives> {
    places(all).into_iter().zip(all).map(|(place, one)| [place, f64::from(one.cost)]).collect()
}

/// The best by score alone, `count` of them; equal ones in their order.
pub(super) fn best(all: &[&Standing], count: usize) -> Vec<usize> {
    let places = places(all);
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by(|a, b| places[*a].total_cmp(&places[*b]));
    order.truncate(count);
    order
}

/// All of them by score and cost, the fittest first.
pub(super) fn fittest(all: &[&Standing]) -> Vec<usize> {
    by_fitness(&objectives(all))
}

/// All of them for the choice of finalists: first the front where none is both worse and dearer than another, the best by
/// score first; then the next front.
pub(super) fn by_front(all: &[&Standing]) -> Vec<usize> {
    let objectives = objectives(all);
    let mut order = Vec::new();
    for mut front in fronts(&objectives) {
        front.sort_by(|a, b| objectives[*a][0].total_cmp(&objectives[*b][0]));
        order.extend(front);
    }
    order
}

/// What a formula is but for its constants: formulas that differ in these alone have equal shapes, and would crowd out all
/// others.
pub(super) fn shape(tree: &Tree) -> Vec<Symbol> {
    let blank = |symbol| match symbol {
        Symbol::Number(_) => Symbol::Number(0.0),
        Symbol::AtMost(_) => Symbol::AtMost(0.0),
        symbol => symbol,
    };
    tree.symbols().into_iter().map(blank).collect()
}

/// The first of `order` of each shape.
pub(super) fn distinct<'a, T>(
    order: impl IntoIterator<Item = T>,
    tree: impl Fn(&T) -> &'a Tree,
) -> Vec<T> {
    let mut seen: Vec<Vec<Symbol>> = Vec::new();
    let mut kept = Vec::new();
    for one in order {
        let shape = shape(tree(&one));
        if !seen.contains(&shape) {
            seen.push(shape);
            kept.push(one);
        }
    }
    kept
}

/// One of `count` parents, of which the fittest is the first: the fitter of two.
pub(super) fn parent(count: usize, stream: &mut Stream) -> usize {
    stream.below(count).min(stream.below(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(comparisons: usize, merits: &[f64], cost: u32) -> Standing {
        let scores = merits.iter().map(|merit| Score::new(*merit, 1.0)).collect();
        Standing { comparisons, scores, cost }
    }

    #[test]
    fn who_was_trained_longer_comes_first_and_ranks_are_means_over_tasks() {
        let all = [
            standing(1, &[0.9, 0.9], 1),
            standing(2, &[0.5, 0.7], 9),
            standing(2, &[0.6, 0.6], 9),
            standing(2, &[0.6, 0.5], 3),
            standing(1, &[0.2, 0.1], 1),
        ];
        let all: Vec<&Standing> = all.iter().collect();
        assert_eq!(places(&all), [3.0, 1.0, 0.75, 1.25, 4.0]);
        assert_eq!(best(&all, 2), [2, 1]);
        assert_eq!(by_front(&all), [2, 3, 0, 1, 4]);
        assert_eq!(best(&[], 3), Vec::<usize>::new());
    }

    #[test]
    fn diverged_ones_are_last_and_equal_ones_share_a_place() {
        let all =
            [standing(1, &[f64::NEG_INFINITY], 1), standing(1, &[0.4], 1), standing(1, &[0.4], 1)];
        let all: Vec<&Standing> = all.iter().collect();
        assert_eq!(places(&all), [2.0, 0.5, 0.5]);
        assert_eq!(fittest(&all)[2], 0);
    }

    #[test]
    fn of_formulas_that_differ_in_constants_the_first_counts() {
        let tree = |text: &str| activation::build(&text.parse().unwrap()).unwrap().tree().unwrap();
        let all = ["max(x, 0)", "tanh(x)", "max(x, 0.5)", "x * tanh(2 * x)", "x * tanh(3 * x)"];
        let trees = all.map(tree);
        assert_eq!(distinct(0..5, |place| &trees[*place]), [0, 1, 3]);
    }
}
