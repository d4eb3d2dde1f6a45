use std::time::Duration;

/// Between two looks at the send queue of a connection that is to be reset: doubles from the first
/// to the last value.
const LOOK_INTERVAL_MIN_MS: u16 = 1;
const LOOK_INTERVAL_MAX_MS: u16 = 64;
/// How long a peer of a broken connection may take no byte before it is reset all the same.
const STALL_MAX_MS: u16 = 5000;

/// The wait for the last bytes to arrive before a reset: that throws away what the peer has not
/// acknowledged.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivery {
    under_way: bool,
    interval_ms: u16,
    stalled_ms: u16,
    acknowledged_bytes: u64,
}

impl Delivery {
    /// After how long the send queue is to be looked at; `None` if it is going to be anyhow.
    pub(super) fn look(&mut self) -> Option<Duration> {
        let delay = Duration::from_millis(u64::from(self.interval_ms));
        (!std::mem::replace(&mut self.under_way, true)).then_some(delay)
    }

    /// What the look found. `is_all`: nothing is left to arrive. Whether the wait is over.
    pub(super) fn note(&mut self, acknowledged_bytes: u64, is_all: bool) -> bool {
        if acknowledged_bytes == self.acknowledged_bytes {
            self.stalled_ms += self.interval_ms;
        } else {
            self.stalled_ms = 0;
            self.acknowledged_bytes = acknowledged_bytes;
        }
        let is_over = is_all || self.stalled_ms >= STALL_MAX_MS;
        if !is_over {
            self.interval_ms =
                (self.interval_ms * 2).clamp(LOOK_INTERVAL_MIN_MS, LOOK_INTERVAL_MAX_MS);
            self.under_way = false; // looked at anew, as long as the session waits
        }
        is_over
    }
}
