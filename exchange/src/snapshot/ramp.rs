use std::time::{Duration, Instant};

/// A share that grows in proportion to time, from next to nothing to all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    since: Instant,
    duration: Duration,
}

impl Ramp {
    /// One that begins at `since` and takes `duration`, which is not zero.
    pub fn new(since: Instant, duration: Duration) -> Self {
        Self { since, duration }
    }

    /// When it began.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// When it is over.
    pub fn end(&self) -> Instant {
        self.since + self.duration
    }

    /// The part of its full share that a target gets at `now`: from 0.0 to 1.0.
    pub fn part(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.since);
        (passed.as_secs_f64() / self.duration.as_secs_f64()).min(1.0)
    }
}
