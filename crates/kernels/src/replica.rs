//! Replicas of a network that exchange numbers while they compute, each on a thread of its own.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// One of several replicas of a network, each of which sees a part of the batch. They compute the same operations in the
/// same order, so that what one gives meets what the others give for the same operation.
///
/// A replica that panics takes the others with it: they unwind with [`Abandoned`] where they would wait for it.
#[derive(Debug, Clone)]
pub struct Replica {
    group: Arc<Group>,
    rank: usize,
    /// Number of the operation.
    place: usize,
}

/// What a replica unwinds with that waits for one which has panicked.
#[derive(Debug)]
pub struct Abandoned;

#[derive(Debug)]
struct Group {
    size: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What each replica gave, and its place; an empty list between two exchanges.
    given: Vec<Option<(usize, Vec<f64>)>>,
    /// What all gave, until each has taken it.
    all: Option<Arc<[Vec<f64>]>>,
    /// How many have taken it.
    taken: usize,
    abandoned: bool,
}

impl Replica {
    /// So many replicas that exchange with one another.
    #[must_use]
    pub fn group(size: usize) -> Vec<Self> {
        let state = Mutex::new(State { given: vec![None; size], ..State::default() });
        let group = Arc::new(Group { size, state, changed: Condvar::new() });
        (0..size).map(|rank| Self { group: Arc::clone(&group), rank, place: 0 }).collect()
    }

    /// The same replica for its next operation.
    #[must_use]
    pub fn for_next_operation(&mut self) -> Self {
        self.place += 1;
        self.clone()
    }

    /// What every replica gives for the operation, in their order.
    ///
    /// # Panics
    /// If a replica gives it for another operation, or has panicked.
    pub(crate) fn gather(&self, own: Vec<f64>) -> Arc<[Vec<f64>]> {
        let Group { size, changed, .. } = &*self.group;
        // The exchange before is over when each has taken what it gave.
        let mut state = self.wait(self.group.lock(), |state| state.all.is_some());
        state.given[self.rank] = Some((self.place, own));
        if state.given.iter().all(Option::is_some) {
            let given: Vec<_> = state.given.iter_mut().filter_map(Option::take).collect();
            assert!(
                given.iter().all(|(place, _)| *place == self.place),
                "replicas compute the same operations in the same order"
            );
            state.all = Some(given.into_iter().map(|(_, numbers)| numbers).collect());
            changed.notify_all();
        }
        let mut state = self.wait(state, |state| state.all.is_none());
        let all = state.all.clone().expect("it was waited for");
        state.taken += 1;
        if state.taken == *size {
            (state.all, state.taken) = (None, 0);
            changed.notify_all();
        }
        all
    }

    /// Waits while `so`.
    fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        so: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        while !state.abandoned && so(&state) {
            state = self.group.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.abandoned {
            drop(state);
            std::panic::resume_unwind(Box::new(Abandoned));
        }
        state
    }
}

impl Group {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.group.lock().abandoned = true;
            self.group.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Abandoned, Replica};

    /// What `action` gives on a thread for each of `size` replicas, or what it unwinds with.
    fn all<T: Send>(
        size: usize,
        action: impl Fn(usize, Replica) -> T + Sync,
    ) -> Vec<std::thread::Result<T>> {
        std::thread::scope(|scope| {
            let action = &action;
            let started: Vec<_> = Replica::group(size)
                .into_iter()
                .enumerate()
                .map(|(rank, replica)| scope.spawn(move || action(rank, replica)))
                .collect();
            started.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        })
    }

    #[test]
    fn each_gets_what_all_give_in_their_order() {
        for size in [1, 2, 5] {
            let results = all(size, |rank, mut replica| {
                (0..200)
                    .map(|round| {
                        replica
                            .for_next_operation()
                            .gather(vec![rank as f64, f64::from(round)])
                            .to_vec()
                    })
                    .collect::<Vec<_>>()
            });
            let expected: Vec<Vec<Vec<f64>>> = (0..200)
                .map(|round| (0..size).map(|rank| vec![rank as f64, f64::from(round)]).collect())
                .collect();
            assert!(results.into_iter().all(|rounds| rounds.unwrap() == expected), "{size}");
        }
    }

    #[test]
    fn one_that_panics_does_not_leave_the_others_waiting() {
        let results = all(3, |rank, mut replica| {
            assert!(rank != 1, "a fault of its own");
            replica.for_next_operation().gather(vec![0.0]);
        });
        let failed: Vec<_> = results.into_iter().map(Result::unwrap_err).collect();
        assert!(failed[0].is::<Abandoned>() && failed[2].is::<Abandoned>());
        assert_eq!(failed[1].downcast_ref::<&str>(), Some(&"a fault of its own"));
    }

    #[test]
    fn operations_do_not_mix() {
        let results = all(2, |rank, mut replica| {
            if rank == 1 {
                let _ = replica.for_next_operation();
            }
            replica.for_next_operation().gather(vec![0.0]);
        });
        assert!(results.iter().all(Result::is_err));
    }
}
