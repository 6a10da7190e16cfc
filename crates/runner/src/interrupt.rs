//! Ctrl-C: the first asks for a clean stop, the second does not ask. And the signals that must stop nothing.

use crate::console::note;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static INSTALL: Once = Once::new();

/// From now on Ctrl-C, SIGTERM and SIGHUP are noticed instead of deadly.
pub(crate) fn install() {
    INSTALL.call_once(|| {
        let installed = ctrlc::set_handler(|| {
            if INTERRUPTED.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
            note!("\nstopping with a checkpoint; press Ctrl-C again to stop at once");
        });
        if let Err(error) = installed {
            note!("warning: Ctrl-C cannot be caught ({error}); it will stop at once");
        }
    });
}

/// From now on a write beyond the limit of a file's size (`ulimit -f`) fails, as one on a full disk does: by default the
/// system ends the process without a word.
pub(crate) fn survive_file_size_limit() {
    #[cfg(unix)]
    {
        let noticed = std::sync::Arc::new(AtomicBool::new(false));
        // Where it cannot be caught, all is as before.
        let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, noticed);
    }
}

/// Asks for a clean stop, as Ctrl-C does.
pub(crate) fn interrupt() {
    INTERRUPTED.store(true, Ordering::SeqCst);
}

/// Whether the user wants to stop.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// How the user resumes what was interrupted: with the very command that began it.
pub(crate) fn how_to_resume() -> String {
    format!("resume with `{}`", crate::shell::this_command())
}
