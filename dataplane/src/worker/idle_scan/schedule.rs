use std::ops::Range;
use std::time::{Duration, Instant};

/// Spreads visits to slots over time: each slot's visit comes once per pass, a few slots at a time.
#[derive(Debug)]
pub(crate) struct ScanSchedule {
    pass: Duration,
    /// Up to when slots were given their visit.
    since: Instant,
    /// The slot whose visit is next.
    cursor: usize,
    /// More visits were due than are given at a time.
    is_behind: bool,
}

/// Most visits given at a time, so that nothing else waits long: with more slots than that, what is
/// due is spread over further calls.
const VISITS_MAX: usize = 4096;

impl ScanSchedule {
    pub(crate) fn new(pass: Duration, now: Instant) -> Self {
        Self { pass, since: now, cursor: 0, is_behind: false }
    }

    /// A pass takes so long from now on.
    pub(crate) fn set_pass(&mut self, pass: Duration) {
        self.pass = pass;
    }

    /// When every slot has to have had its visit. More often needs nobody to call, though visits are
    /// given earlier if somebody does.
    pub(crate) fn next(&self) -> Instant {
        if self.is_behind { self.since } else { self.since + self.pass }
    }

    /// The slots, of so many, whose visit has come: the second range follows on the first.
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
        let visits = ((share * slots as f64) as usize).min(slots);
        self.is_behind = visits > VISITS_MAX;
        let visits = visits.min(VISITS_MAX);
        // What is left of the time counts for the slots that are left.
        let used = self.pass.mul_f64(part(visits, slots)).min(passed);
        self.since = now.checked_sub(passed.saturating_sub(used)).unwrap_or(now);
        let start = self.cursor % slots;
        let end = start + visits;
        self.cursor = end % slots;
        [start..end.min(slots), 0..end.saturating_sub(slots)]
    }
}

#[expect(clippy::cast_precision_loss, reason = "small numbers, and a part of them")]
fn part(visits: usize, slots: usize) -> f64 {
    visits as f64 / slots as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visits(schedule: &mut ScanSchedule, now: Instant, slots: usize) -> Vec<usize> {
        schedule.due(now, slots).into_iter().flatten().collect()
    }

    #[test]
    fn every_slot_has_one_turn_in_a_pass_however_often_somebody_asks() {
        let start = Instant::now();
        for (step_ms, slots) in [(1, 10), (7, 1000), (90, 3), (100, 4000), (33, 1)] {
            let mut schedule = ScanSchedule::new(Duration::from_millis(100), start);
            let mut last = vec![0; slots];
            let mut now_ms = 0;
            while now_ms < 2000 {
                now_ms += step_ms;
                for slot in visits(&mut schedule, start + Duration::from_millis(now_ms), slots) {
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
        let mut schedule = ScanSchedule::new(Duration::from_millis(100), start);
        let mut now = start + Duration::from_secs(5);
        let mut seen = vec![false; 10_000];
        for call in 0..3 {
            assert!(schedule.next() <= now, "call {call}");
            let visits = visits(&mut schedule, now, seen.len());
            assert!(visits.len() <= VISITS_MAX);
            for slot in visits {
                seen[slot] = true;
            }
            now += Duration::from_millis(1);
        }
        assert!(seen.iter().all(|seen| *seen));
        assert!(schedule.next() > now, "a long pause is not made up for");
    }

    #[test]
    fn there_may_be_no_slots_or_fewer_than_before() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut schedule = ScanSchedule::new(Duration::from_millis(100), start);
        assert_eq!(visits(&mut schedule, at(500), 0), Vec::<usize>::new());
        assert_eq!(visits(&mut schedule, at(550), 4), [0, 1]);
        assert_eq!(visits(&mut schedule, at(650), 4), [2, 3, 0, 1]);
        assert_eq!(visits(&mut schedule, at(750), 1), [0]);
    }
}
