//! SIGINT (Ctrl-C) and SIGTERM: the first asks long operations to stop, the second ends the process.
//!
//! Only commands that poll [`poll`] install the handler; all others end at the first signal.

use std::{
    ops::ControlFlow,
    process,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

/// Exit code of an interrupted command: 128 + SIGINT, as shells report it.
pub(crate) const EXIT_CODE: u8 = 130;

static IS_REQUESTED: AtomicBool = AtomicBool::new(false);
static INSTALL: Once = Once::new();

/// Installs the handler. If that fails, signals end the process as by default.
pub(crate) fn install() {
    INSTALL.call_once(|| {
        if let Err(error) = ctrlc::set_handler(on_signal) {
            tracing::debug!("no signal handler: {error}");
        }
    });
}

fn on_signal() {
    if IS_REQUESTED.swap(true, Ordering::SeqCst) {
        process::exit(EXIT_CODE.into());
    }
    tracing::warn!("interrupted: finishing the current step; interrupt again to quit at once");
}

/// Whether a signal has arrived.
pub(crate) fn is_requested() -> bool {
    IS_REQUESTED.load(Ordering::SeqCst)
}

/// `Break` once a signal has arrived; the value for progress callbacks.
pub(crate) fn poll() -> ControlFlow<()> {
    if is_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
