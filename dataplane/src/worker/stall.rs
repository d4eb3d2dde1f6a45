use std::time::{Duration, Instant};

/// A turn that takes so much longer than it waits has stood still: the process was stopped, its
/// machine suspended, or its CPU busy with others.
const STALL_MIN: Duration = Duration::from_millis(100);

/// Timers wait for completions no longer than this: on a busy core there are always some.
const CATCH_UP_MAX: Duration = Duration::from_millis(200);

/// Whether the core stood still and has not caught up yet. Until then no timer is judged: what it
/// waits for may have come long ago, and lie where the next turns find it.
#[derive(Debug, Default)]
pub(super) struct Stall {
    /// While it catches up: until when at most.
    until: Option<Instant>,
}

impl Stall {
    /// Whether timers count.
    pub(super) fn is_over(&self) -> bool {
        self.until.is_none()
    }

    /// A turn that was to wait for `wait` at most is `now` at its completions, if there are any; the
    /// one before was at `before`. If it stood still: for how long, to be left out.
    pub(super) fn note_turn(
        &mut self,
        before: Instant,
        now: Instant,
        wait: Duration,
        is_empty: bool,
    ) -> Option<Duration> {
        let missed = now.saturating_duration_since(before).saturating_sub(wait);
        if missed >= STALL_MIN {
            self.until = Some(now + CATCH_UP_MAX);
            return Some(missed);
        }
        if is_empty || self.until.is_some_and(|until| until <= now) {
            self.until = None;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_millis(100);

    #[test]
    fn timers_count_again_once_nothing_is_left_of_a_stall() {
        let (mut stall, start) = (Stall::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(stall.note_turn(at(0), at(150), WAIT, true), None, "late by as little as usual");
        assert!(stall.is_over());
        assert_eq!(stall.note_turn(at(150), at(5250), WAIT, true), Some(Duration::from_secs(5)));
        assert!(!stall.is_over(), "its own completions may not be all");
        assert_eq!(stall.note_turn(at(5250), at(5251), Duration::ZERO, false), None);
        assert!(!stall.is_over());
        assert_eq!(stall.note_turn(at(5251), at(5252), Duration::ZERO, true), None);
        assert!(stall.is_over());
    }

    #[test]
    fn a_core_that_never_rests_does_not_catch_up_for_ever() {
        let (mut stall, start) = (Stall::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        stall.note_turn(at(0), at(1000), WAIT, false);
        for ms in 1000..1200 {
            assert!(!stall.is_over());
            stall.note_turn(at(ms), at(ms + 1), Duration::ZERO, false);
        }
        assert!(stall.is_over());
    }
}
