use std::ops::Range;
use std::time::{Duration, Instant};

/// Spreads visits to slots over time: each slot's turn comes once per pass, a few slots at a time.
#[derive(Debug)]
pub(crate) struct Pace {
    pass: Duration,
    /// Up to when slots were given their turn.
    since: Instant,
    /// The slot whose turn is next.
    cursor: usize,
    /// More turns were due than are given at a time.
    is_behind: bool,
}

/// Most turns given at a time, so that nothing else waits long: with more slots than that, what is
/// due is spread over further calls.
const TURNS_MAX: usize = 4096;

impl Pace {
    pub(crate) fn new(pass: Duration, now: Instant) -> Self {
        Self { pass, since: now, cursor: 0, is_behind: false }
    }

    /// A pass takes so long from now on.
    pub(crate) fn set_pass(&mut self, pass: Duration) {
        self.pass = pass;
    }

    /// When every slot has to have had its turn. More often needs nobody to call, though turns are
    /// given earlier if somebody does.
    pub(crate) fn next(&self) -> Instant {
        if self.is_behind { self.since } else { self.since + self.pass }
    }

    /// The slots, of so many, whose turn has come: the second range follows on the first.
    pub(crate) fn due(&mut self, now: Instant, slots: usize) -> [Range<usize>; 2] {
        if slots == 0 {
            self.since = now;
            return [0..0, 0..0];
        }
        let passed = now.saturating_duration_since(self.since).min(self.pass);
        let share = passed.as_secs_f64() / self.pass.as_secs_f64();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a number of slots"
        )]
        let turns = ((share * slots as f64) as usize).min(slots);
        self.is_behind = turns > TURNS_MAX;
        let turns = turns.min(TURNS_MAX);
        // What is left of the time counts for the slots that are left.
        let used = self.pass.mul_f64(part(turns, slots)).min(passed);
        self.since = now.checked_sub(passed.saturating_sub(used)).unwrap_or(now);
        let start = self.cursor % slots;
        let end = start + turns;
        self.cursor = end % slots;
        [start..end.min(slots), 0..end.saturating_sub(slots)]
    }
}

#[expect(clippy::cast_precision_loss, reason = "small numbers, and a part of them")]
fn part(turns: usize, slots: usize) -> f64 {
    turns as f64 / slots as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(pace: &mut Pace, now: Instant, slots: usize) -> Vec<usize> {
        pace.due(now, slots).into_iter().flatten().collect()
    }

    #[test]
    fn every_slot_has_one_turn_in_a_pass_however_often_somebody_asks() {
        let start = Instant::now();
        for (step_ms, slots) in [(1, 10), (7, 1000), (90, 3), (100, 4000), (33, 1)] {
            let mut pace = Pace::new(Duration::from_millis(100), start);
            let mut last = vec![0; slots];
            let mut now_ms = 0;
            while now_ms < 2000 {
                now_ms += step_ms;
                for slot in turns(&mut pace, start + Duration::from_millis(now_ms), slots) {
                    let wait = now_ms - last[slot];
                    assert!(last[slot] == 0 || wait + step_ms >= 100, "{slot} after {wait} ms");
                    last[slot] = now_ms;
                }
                let late = last.iter().map(|last| now_ms - last).max().unwrap_or(0);
                assert!(late <= 100 + 2 * step_ms, "{late} ms with {slots} slots");
            }
        }
    }

    #[test]
    fn few_have_their_turn_at_a_time_and_none_is_forgotten() {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::from_millis(100), start);
        let mut now = start + Duration::from_secs(5);
        let mut seen = vec![false; 10_000];
        for call in 0..3 {
            assert!(pace.next() <= now, "call {call}");
            let turns = turns(&mut pace, now, seen.len());
            assert!(turns.len() <= TURNS_MAX);
            for slot in turns {
                seen[slot] = true;
            }
            now += Duration::from_millis(1);
        }
        assert!(seen.iter().all(|seen| *seen));
        assert!(pace.next() > now, "a long pause is not made up for");
    }

    #[test]
    fn there_may_be_no_slots_or_fewer_than_before() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut pace = Pace::new(Duration::from_millis(100), start);
        assert_eq!(turns(&mut pace, at(500), 0), Vec::<usize>::new());
        assert_eq!(turns(&mut pace, at(550), 4), [0, 1]);
        assert_eq!(turns(&mut pace, at(650), 4), [2, 3, 0, 1]);
        assert_eq!(turns(&mut pace, at(750), 1), [0]);
    }
}
