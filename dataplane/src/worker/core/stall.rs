use std::time::{Duration, Instant};

/// A turn that takes so much longer than it waits has stood still: the process or its virtual machine
/// was stopped, or its CPU busy with others.
const STALL_MIN: Duration = Duration::from_millis(100);

/// Timers wait for completions no longer than this: on a busy core there are always some.
const CATCH_UP_MAX: Duration = Duration::from_millis(200);

/// Whether the core stood still and has not caught up yet. Until then no timer is judged: what it
/// waits for may have come long ago, and lie where the next turns find it.
#[derive(Debug, Default)]
pub(in crate::worker) struct Stall {
    /// While it catches up: until when at most.
    until: Option<Instant>,
    /// It has caught up, and timers were not judged since.
    owes_timers: bool,
}

impl Stall {
    /// Timers are judged now. Between two stalls they are, however soon the one follows the other.
    pub(in crate::worker) fn note_timers(&mut self) {
        self.owes_timers = false;
    }

    /// Whether timers count.
    pub(in crate::worker) fn is_over(&self) -> bool {
        self.until.is_none()
    }

    /// A turn that was to wait for `wait` at most is `now` at its completions, if there are any; the
    /// one before was at `before`. If it stood still: for how long, to be left out.
    pub(in crate::worker) fn note_turn(
        &mut self,
        before: Instant,
        now: Instant,
        wait: Duration,
        is_empty: bool,
    ) -> Option<Duration> {
        let missed = now.saturating_duration_since(before).saturating_sub(wait);
        if missed >= STALL_MIN && self.until.is_none() && !self.owes_timers {
            (self.until, self.owes_timers) = (Some(now + CATCH_UP_MAX), true);
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

    #[test]
    fn one_that_stands_still_again_and_again_judges_its_timers_in_between() {
        let (mut stall, start) = (Stall::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let mut judged = 0;
        for turn in 1..=100 {
            stall.note_turn(at((turn - 1) * 150), at(turn * 150), Duration::ZERO, false);
            if stall.is_over() {
                stall.note_timers();
                judged += 1;
            }
        }
        assert!(judged >= 30, "{judged} of 100");
    }
}
