//! Panics of plugins: they cost what they happen in, and become a message instead of a trace.

use actlab_core::device::panic_message;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

static INSTALL: Once = Once::new();

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs code of a plugin. A panic in it, on this thread, becomes its place and message; panics
/// elsewhere are reported as ever.
pub(crate) fn guarded<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    INSTALL.call_once(|| {
        let ordinary = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if GUARDED.get() {
                PLACE.set(info.location().map(ToString::to_string));
            } else {
                ordinary(info);
            }
        }));
    });
    let before = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(before);
    result.map_err(|panic| {
        let place = PLACE.take().map(|place| format!(" at {place}")).unwrap_or_default();
        format!("panic{place}: {}", panic_message(&*panic))
    })
}

#[cfg(test)]
mod tests {
    use super::guarded;

    #[test]
    fn a_panic_becomes_its_place_and_message() {
        assert_eq!(guarded(|| 1), Ok(1));
        let message = guarded(|| panic!("went {}", "wrong")).unwrap_err();
        assert!(message.contains("guard.rs:") && message.ends_with("went wrong"), "{message}");
    }
}
