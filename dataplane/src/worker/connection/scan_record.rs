use crate::worker::idle_scan::activity::LastActivity;

/// What the idle scan knows of a connection.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct ScanRecord {
    pub(in crate::worker) activity: LastActivity,
    /// When it was accepted, on the scan's clock.
    pub(in crate::worker) accepted_ms: u32,
    /// The kernel was told to find out when a peer is gone.
    pub(in crate::worker) has_keepalive: bool,
    /// What it may make the kernel hold is bounded.
    pub(in crate::worker) is_bounded: bool,
    /// By side: nothing was received from it when it was last looked at.
    pub(in crate::worker) is_held_up: [bool; 2],
}

impl ScanRecord {
    pub(super) fn new(activity: LastActivity) -> Self {
        Self {
            activity,
            accepted_ms: activity.moved_ms(),
            has_keepalive: false,
            is_bounded: false,
            is_held_up: [false; 2],
        }
    }
}
