//! Two objectives at once: nondominated sorting with crowding distances, as NSGA-II has it (Deb, Pratap, Agarwal and
//! Meyarivan 2002).

/// Two numbers of which smaller ones are better: the place by score, and the cost.
pub(super) type Objectives = [f64; 2];

/// Whether `a` is better than `b` in one objective and as good in the other.
fn dominates(a: Objectives, b: Objectives) -> bool {
    a[0] <= b[0] && a[1] <= b[1] && a != b
}

/// The places in `all` by front: the first front is dominated by nothing, the next by the fronts before it alone.
pub(super) fn fronts(all: &[Objectives]) -> Vec<Vec<usize>> {
    let mut left: Vec<usize> = (0..all.len()).collect();
    let mut fronts = Vec::new();
    while !left.is_empty() {
        let dominated = |one: &usize| left.iter().any(|other| dominates(all[*other], all[*one]));
        let (behind, front): (Vec<usize>, Vec<usize>) = left.iter().partition(|one| dominated(one));
        // Numbers that compare with nothing dominate nothing, so that there always is a front.
        fronts.push(front);
        left = behind;
    }
    fronts
}

/// How far the neighbours of each of `front` are, in parts of the whole range: infinite at its ends. Of equal ones the
/// first counts as the crowd's end.
fn crowding(front: &[usize], all: &[Objectives]) -> Vec<f64> {
    let mut distances = vec![0.0; front.len()];
    let objectives: [fn(&Objectives) -> f64; 2] = [|one| one[0], |one| one[1]];
    for objective in objectives {
        let value = |place: usize| objective(&all[front[place]]);
        let mut order: Vec<usize> = (0..front.len()).collect();
        order.sort_by(|a, b| value(*a).total_cmp(&value(*b)));
        let (Some(first), Some(last)) = (order.first(), order.last()) else { continue };
        let range = value(*last) - value(*first);
        distances[*first] = f64::INFINITY;
        distances[*last] = f64::INFINITY;
        for neighbours in order.windows(3).filter(|_| range > 0.0) {
            distances[neighbours[1]] += (value(neighbours[2]) - value(neighbours[0])) / range;
        }
    }
    distances
}

/// Places in `all`, the fittest first: by front, and within one those that stand alone first. Equal ones stay in their
/// order.
pub(super) fn by_fitness(all: &[Objectives]) -> Vec<usize> {
    let mut order = Vec::with_capacity(all.len());
    for front in fronts(all) {
        let distances = crowding(&front, all);
        let mut places: Vec<usize> = (0..front.len()).collect();
        places.sort_by(|a, b| distances[*b].total_cmp(&distances[*a]));
        order.extend(places.into_iter().map(|place| front[place]));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use actlab_core::stream::Stream;

    /// The front of each by its definition: one more than that of the worst one that dominates it.
    fn by_definition(all: &[Objectives], one: usize) -> usize {
        let before = (0..all.len()).filter(|other| dominates(all[*other], all[one]));
        before.map(|other| by_definition(all, other) + 1).max().unwrap_or(0)
    }

    #[test]
    fn fronts_are_those_of_the_definition() {
        let mut stream = Stream::new(1, "fronts");
        for _ in 0..200 {
            let number = |stream: &mut Stream| f64::from(u32::try_from(stream.below(6)).unwrap());
            let all: Vec<Objectives> =
                (0..12).map(|_| [number(&mut stream), number(&mut stream)]).collect();
            let fronts = fronts(&all);
            assert_eq!(fronts.iter().map(Vec::len).sum::<usize>(), all.len());
            for (place, front) in fronts.iter().enumerate() {
                for one in front {
                    assert_eq!(by_definition(&all, *one), place, "{all:?}");
                }
            }
            let mut order = by_fitness(&all);
            let front_of = |one: &usize| fronts.iter().position(|front| front.contains(one));
            assert!(order.is_sorted_by_key(front_of));
            order.sort_unstable();
            assert_eq!(order, (0..all.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn ends_of_a_front_come_first_and_then_those_that_stand_alone() {
        let all = [[0.0, 9.0], [1.0, 8.0], [2.0, 7.0], [6.0, 3.0], [9.0, 0.0]];
        assert_eq!(fronts(&all).len(), 1);
        assert_eq!(by_fitness(&all), [0, 4, 3, 2, 1]);
        assert_eq!(by_fitness(&[[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]), [1, 0, 2]);
        assert_eq!(by_fitness(&[]), Vec::<usize>::new());
    }
}
