use std::time::Duration;

/// How long each part of a refresh may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timeouts {
    /// Whether AWS has answered before.
    pub(super) is_answered: bool,
    /// The whole refresh, all its calls together.
    pub(super) refresh: Duration,
    /// A call with all its attempts and the pauses between them.
    pub(super) operation: Duration,
    /// One attempt, from looking for credentials to the answer's last byte.
    pub(super) attempt: Duration,
    /// Connecting; shorter than the attempt, so that it is known what was slow.
    pub(super) connect: Duration,
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
pub(super) const REFRESH_MAX: Duration = Duration::from_secs(30);

/// How much longer a refresh may take than the one before, until AWS answers for the first time.
const GROWTH: u32 = 4;

impl Timeouts {
    /// Those of a refresh once AWS has answered, given the time between two. It is cut before the one
    /// after next is due, unless the period is shorter than a second.
    pub(super) fn new(period: Duration) -> Self {
        let refresh = (period.saturating_mul(7) / 4).clamp(REFRESH_MIN, REFRESH_MAX);
        Self::of(true, refresh, refresh * 6 / 7, (refresh / 4).max(ATTEMPT_MIN))
    }

    /// Those of a refresh before AWS has answered, after so many that ran out of time. There is nothing
    /// to be kept from: it gets the time it needs, in which two questions may be answered one after the
    /// other. With short periods it gets that in some steps, so that the log does not wait as long.
    pub(super) fn unanswered(period: Duration, expired: u32) -> Self {
        let refresh = period.saturating_mul(3).max(REFRESH_MIN);
        let refresh = refresh.saturating_mul(GROWTH.saturating_pow(expired)).min(REFRESH_MAX);
        Self::of(false, refresh, refresh, (refresh / 2).max(ATTEMPT_MIN))
    }

    fn of(is_answered: bool, refresh: Duration, operation: Duration, attempt: Duration) -> Self {
        Self {
            is_answered,
            refresh,
            operation,
            attempt,
            connect: attempt * 3 / 4,
            first_pause: operation / 16,
            credentials: attempt * 4 / 5,
        }
    }

    /// Whether refreshes may take longer where the period is longer than this.
    pub(super) fn grow_beyond(period: Duration) -> bool {
        Self::new(period) != Self::new(Duration::MAX)
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
            assert!(timeouts.connect < timeouts.attempt);
        }
    }

    #[test]
    fn a_first_refresh_has_the_time_it_needs() {
        let millis = |period, expired| {
            let timeouts = Timeouts::unanswered(Duration::from_millis(period), expired);
            assert!(timeouts.attempt * 2 >= timeouts.operation, "{timeouts:?}");
            timeouts.refresh.as_millis()
        };
        for period in [10_000, 60_000, 86_400_000] {
            assert_eq!(millis(period, 0), 30_000);
            assert_eq!(millis(period, u32::MAX), 30_000);
        }
        let steps = [0, 1, 2, 3].map(|expired| millis(200, expired));
        assert_eq!(steps, [1_750, 7_000, 28_000, 30_000]);
    }

    #[test]
    fn a_longer_period_helps_up_to_a_point() {
        assert!(Timeouts::grow_beyond(Duration::from_secs(10)));
        assert!(!Timeouts::grow_beyond(Duration::from_mins(1)));
    }
}
