use std::time::{Duration, Instant};

/// Turns come at least every 100 ms. So long without one is no accident of a busy machine.
const STILL_MAX: Duration = Duration::from_secs(1);

/// Whether every core's loop still turns; pure.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    cores: Vec<Beat>,
}

#[derive(Clone, Copy, Debug)]
struct Beat {
    turns: u64,
    /// When that number was first seen.
    since: Instant,
}

/// What a core shows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sign {
    /// How often its loop has turned.
    pub(crate) turns: u64,
    /// It has nothing to do any more.
    pub(crate) has_ended: bool,
}

impl Heartbeat {
    /// For so many cores, which count as alive at `now`.
    pub(crate) fn new(cores: usize, now: Instant) -> Self {
        Self { cores: vec![Beat { turns: 0, since: now }; cores] }
    }

    /// The first core, if any, that has stood still for too long.
    pub(crate) fn missing(
        &mut self,
        signs: impl Iterator<Item = Sign>,
        now: Instant,
    ) -> Option<usize> {
        let mut missing = None;
        for (core, (beat, sign)) in self.cores.iter_mut().zip(signs).enumerate() {
            if beat.turns != sign.turns || sign.has_ended {
                *beat = Beat { turns: sign.turns, since: now };
            }
            let is_still = now.saturating_duration_since(beat.since) >= STILL_MAX;
            missing = missing.or(is_still.then_some(core));
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURNING: bool = false;
    const ENDED: bool = true;

    fn signs(cores: [(u64, bool); 2]) -> impl Iterator<Item = Sign> {
        cores.into_iter().map(|(turns, has_ended)| Sign { turns, has_ended })
    }

    #[test]
    fn a_core_that_stands_still_is_missed_until_it_turns_again() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut heartbeat = Heartbeat::new(2, start);
        for (ms, turns, missing) in [
            (100, [5, 5], None),
            (1000, [6, 5], None),
            (1099, [7, 5], None),
            (1100, [8, 5], Some(1)),
            (5000, [9, 5], Some(1)),
            (5001, [10, 6], None),
            (9000, [10, 6], Some(0)),
        ] {
            let [first, second] = turns.map(|turns| (turns, TURNING));
            assert_eq!(heartbeat.missing(signs([first, second]), at(ms)), missing, "{ms} ms");
        }
    }

    #[test]
    fn a_core_that_has_ended_is_not_missed() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(2, start);
        for seconds in 1..5 {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(heartbeat.missing(signs([(seconds, TURNING), (7, ENDED)]), now), None);
        }
    }
}
