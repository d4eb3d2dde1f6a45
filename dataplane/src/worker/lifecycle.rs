use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What the cores are told beside snapshots. Given once, never taken back.
#[derive(Debug, Default)]
pub(crate) struct Lifecycle {
    is_listening: AtomicBool,
    accepting_stopped_at: OnceLock<Instant>,
}

impl Lifecycle {
    /// All listeners listen: there is something to accept from.
    pub(crate) fn start_accepting(&self) {
        // After the system calls that it tells of, which no core could overtake anyway.
        self.is_listening.store(true, Ordering::Release);
    }

    /// Whether that was said.
    pub(crate) fn is_listening(&self) -> bool {
        self.is_listening.load(Ordering::Acquire)
    }

    /// Ends accepting. A second call changes nothing.
    pub(crate) fn stop_accepting(&self) {
        self.accepting_stopped_at.get_or_init(Instant::now);
    }

    /// Since when nothing is to be accepted, if that was said.
    pub(crate) fn accepting_stopped_at(&self) -> Option<Instant> {
        self.accepting_stopped_at.get().copied()
    }
}
