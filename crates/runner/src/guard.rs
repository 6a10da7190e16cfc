//! Panics of plugins: they cost what they happen in, and become a message instead of a trace.

use actlab_core::device::panic_message;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, Once, PoisonError};

static INSTALL: Once = Once::new();

/// Where a thread that belongs to a pool panicked last; the panic continues in the thread that waits.
static PLACE_IN_POOL: Mutex<Option<String>> = Mutex::new(None);

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Marks the calling thread as one of a pool that works for [`guarded`] code: kernels run a plugin's
/// formula on all of them.
pub(crate) fn guard_thread(_: usize) {
    GUARDED.set(true);
}

/// Runs code of a plugin. A panic in it, on this thread or on one of a pool whose threads are marked by
/// [`guard_thread`], becomes its place and message; panics elsewhere are reported as ever.
pub(crate) fn guarded<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    INSTALL.call_once(|| {
        let ordinary = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if GUARDED.get() {
                let place = info.location().map(ToString::to_string);
                PLACE_IN_POOL.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&place);
                PLACE.set(place);
            } else {
                ordinary(info);
            }
        }));
    });
    let before = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(before);
    result.map_err(|panic| {
        let in_pool = PLACE_IN_POOL.lock().unwrap_or_else(PoisonError::into_inner).take();
        let place = PLACE.take().or(in_pool);
        let place = place.map(|place| format!(" at {place}")).unwrap_or_default();
        format!("panic{place}: {}", panic_message(&*panic))
    })
}

#[cfg(test)]
mod tests {
    use super::{guard_thread, guarded};

    #[test]
    fn a_panic_on_another_thread_of_the_pool_too() {
        let pool =
            rayon::ThreadPoolBuilder::new().num_threads(2).start_handler(guard_thread).build();
        let message = pool.unwrap().install(|| {
            guarded(|| rayon::join(|| (), || rayon::join(|| (), || panic!("a formula"))))
        });
        let message = message.unwrap_err();
        assert!(message.contains("guard.rs:") && message.ends_with("a formula"), "{message}");
    }

    #[test]
    fn a_panic_becomes_its_place_and_message() {
        assert_eq!(guarded(|| 1), Ok(1));
        let message = guarded(|| panic!("went {}", "wrong")).unwrap_err();
        assert!(message.contains("guard.rs:") && message.ends_with("went wrong"), "{message}");
    }
}
