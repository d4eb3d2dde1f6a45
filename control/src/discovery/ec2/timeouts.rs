use std::time::Duration;

/// How long each part of a refresh may take, given the time between two refreshes. A
/// refresh is cut before the one after next is due, unless the period is shorter than a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timeouts {
    /// The whole refresh, all its calls together.
    pub(super) refresh: Duration,
    /// A call with all its attempts and the pauses between them.
    pub(super) operation: Duration,
    /// One attempt, from looking for credentials to the answer's last byte.
    pub(super) attempt: Duration,
    /// The pause after a first attempt, at most; it doubles with each further one. Short enough for
    /// all attempts to fit into the operation, or every cause would look like a timeout.
    pub(super) first_pause: Duration,
    /// Looking for credentials; shorter than the attempt, so that it is known what was missing.
    pub(super) credentials: Duration,
}

/// Less than this would cut answers that are only slow.
const REFRESH_MIN: Duration = Duration::from_millis(1750);
const ATTEMPT_MIN: Duration = Duration::from_secs(1);

/// What takes longer than this has failed, however long the period.
const REFRESH_MAX: Duration = Duration::from_secs(30);

impl Timeouts {
    pub(super) fn new(period: Duration) -> Self {
        let refresh = (period.saturating_mul(7) / 4).clamp(REFRESH_MIN, REFRESH_MAX);
        let attempt = (refresh / 4).max(ATTEMPT_MIN);
        let operation = refresh * 6 / 7;
        let first_pause = operation / 16;
        Self { refresh, operation, attempt, first_pause, credentials: attempt * 4 / 5 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_never_delays_the_one_after_next() {
        for millis in [1_000, 2_000, 10_000, 60_000, 86_400_000] {
            let period = Duration::from_millis(millis);
            let timeouts = Timeouts::new(period);
            // The shortest that jitter makes of two periods.
            assert!(timeouts.refresh < period * 2 * 9 / 10, "{period:?}: {timeouts:?}");
            assert!(timeouts.operation < timeouts.refresh);
            assert!(timeouts.attempt < timeouts.operation);
            assert!(timeouts.first_pause * (1 + 2 + 4) < timeouts.operation / 2);
            assert!(timeouts.credentials < timeouts.attempt);
        }
    }
}
