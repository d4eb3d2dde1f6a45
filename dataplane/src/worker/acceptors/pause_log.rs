use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Keeps lines about accepting having paused from filling the log: all cores share the limit.
///
/// While it pauses again and again a line is due once per interval, and one more when it has gone on
/// for [`CALM`].
#[derive(Debug)]
pub(crate) struct PauseLog {
    interval: Duration,
    state: Mutex<State>,
}

/// A shorter break is no end of a pause: at the limit each connection that ends makes one.
pub(crate) const CALM: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct State {
    last_pause: Option<Instant>,
    last_line: Option<Instant>,
    /// Somebody reads that it pauses, and not yet that it goes on.
    told: bool,
}

impl PauseLog {
    /// At most one line about a pause per `interval`, which is longer than [`CALM`].
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, state: Mutex::default() }
    }

    /// Notes a pause; whether a line about it may be written now. Never waits: if another core asks
    /// at the same time, that one may.
    pub(crate) fn pauses(&self, now: Instant) -> bool {
        let Ok(mut state) = self.state.try_lock() else { return false };
        state.last_pause = Some(now);
        let since = |at: Instant| now.saturating_duration_since(at);
        let allowed = state.last_line.is_none_or(|at| since(at) >= self.interval);
        if allowed {
            state.last_line = Some(now);
            state.told = true;
        }
        allowed
    }

    /// Whether to write now that it goes on, on all cores. Never waits either.
    pub(crate) fn goes_on(&self, now: Instant) -> bool {
        let Ok(mut state) = self.state.try_lock() else { return false };
        let calm = state.last_pause.is_some_and(|at| now.saturating_duration_since(at) >= CALM);
        calm && std::mem::take(&mut state.told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_interval_and_one_at_the_end() {
        let log = PauseLog::new(Duration::from_mins(1));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!log.goes_on(at(0)));
        assert_eq!(
            [0, 1, 59, 60, 61].map(|s| log.pauses(at(s))),
            [true, false, false, true, false]
        );
        assert!(!log.goes_on(at(61) + CALM / 2));
        assert!(log.goes_on(at(62)));
        assert!(!log.goes_on(at(63)));
        // A pause that nobody was told of ends in silence.
        assert!(!log.pauses(at(64)));
        assert!(!log.goes_on(at(66)));
    }
}
