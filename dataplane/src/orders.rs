use std::sync::OnceLock;
use std::time::Instant;

/// What the cores are told beside snapshots. Given once, never taken back.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    accepting_stopped_at: OnceLock<Instant>,
}

impl Orders {
    /// Ends accepting. A second call changes nothing.
    pub(crate) fn stop_accepting(&self) {
        self.accepting_stopped_at.get_or_init(Instant::now);
    }

    /// Since when nothing is to be accepted, if that was said.
    pub(crate) fn accepting_stopped_at(&self) -> Option<Instant> {
        self.accepting_stopped_at.get().copied()
    }
}
