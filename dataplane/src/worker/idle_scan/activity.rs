use std::time::Duration;

use crate::flow::Side;

/// How long a connection is kept while nothing moves on it; `None`: for as long as its peers want.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdleTimeouts {
    /// While both sides may still send.
    pub open: Option<Duration>,
    /// Once a side has sent FIN.
    pub half_closed: Option<Duration>,
}

/// What a scan remembers of a connection from one visit to the next.
///
/// That something moved is seen by its counts having changed in between: the path of a byte knows
/// nothing of timeouts. The numbers wrap or are shortened; a coincidence costs one visit's worth of accuracy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastActivity {
    /// The session's progress as of the last visit.
    progress: u32,
    /// When anything was last seen to have moved, on the scan's clock.
    moved_ms: u32,
    /// By side: what it had acknowledged as of the last visit. A peer that reads slowly empties its
    /// send queue long before there is room for more.
    acknowledged: [Acknowledged; 2],
    /// By side: since when it is known to have acknowledged nothing of what it is being sent.
    stuck_ms: [u32; 2],
}

/// How much of what was sent to it a side has acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acknowledged {
    /// All of it.
    All,
    /// There is more; a count of what was acknowledged, which wraps.
    Part(u16),
    /// Nobody has looked.
    Unknown,
}

impl Acknowledged {
    /// So many bytes, where `queued` are not.
    pub(crate) fn of(queued: usize, acknowledged: u64) -> Self {
        // All of its bits: windows often open by some power of two.
        let [.., low, high] = acknowledged.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes();
        if queued == 0 { Self::All } else { Self::Part(u16::from_le_bytes([low, high])) }
    }
}

/// For how long a connection has made no headway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quiet {
    /// Nothing at all has moved.
    pub(crate) all: Duration,
    /// By side: it has acknowledged nothing of what it is being sent, whatever it sends itself.
    pub(crate) sides: [Duration; 2],
}

impl Quiet {
    /// Whether the connection is to end after `timeout`.
    pub(crate) fn is_over(&self, timeout: Duration) -> bool {
        self.all >= timeout || self.sides.iter().any(|stuck| *stuck >= timeout)
    }

    /// The side that is to blame, if one is.
    pub(crate) fn stuck(&self) -> Option<Side> {
        let stuck = |side: &Side| self.sides[*side as usize];
        Side::BOTH.into_iter().max_by_key(stuck).filter(|side| !stuck(side).is_zero())
    }
}

impl LastActivity {
    /// Of a connection that was just accepted.
    pub(crate) fn new(now_ms: u32) -> Self {
        Self {
            progress: 0,
            moved_ms: now_ms,
            acknowledged: [Acknowledged::Unknown; 2],
            stuck_ms: [now_ms; 2],
        }
    }

    /// When anything was last seen to have moved, on the scan's clock.
    pub(crate) fn moved_ms(&self) -> u32 {
        self.moved_ms
    }

    /// Whether all that was sent was acknowledged, as of the last visit.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.acknowledged == [Acknowledged::All; 2]
    }

    /// Whatever happens at present is no idleness.
    pub(crate) fn renew(&mut self, now_ms: u32) {
        self.moved_ms = now_ms;
        self.stuck_ms = [now_ms; 2];
    }

    /// Notes how far the session has come, and what was acknowledged by each side; for how long
    /// nothing has moved. That is never more than it was, and less by at most the time between two
    /// visits.
    pub(crate) fn visit(
        &mut self,
        now_ms: u32,
        progress: u32,
        mut look: impl FnMut(Side) -> Acknowledged,
    ) -> Quiet {
        let mut has_moved = progress != self.progress;
        self.progress = progress;
        // With all acknowledged there is nothing to look at until there is progress.
        if has_moved || !self.is_acknowledged() {
            for side in Side::BOTH {
                let before = std::mem::replace(&mut self.acknowledged[side as usize], look(side));
                let after = self.acknowledged[side as usize];
                let is_stuck = matches!(after, Acknowledged::Part(_)) && after == before;
                if !is_stuck {
                    self.stuck_ms[side as usize] = now_ms;
                    has_moved |= before != after && before != Acknowledged::Unknown;
                }
            }
        } else {
            self.stuck_ms = [now_ms; 2];
        }
        if has_moved {
            self.moved_ms = now_ms;
        }
        let since = |ms: u32| Duration::from_millis(u64::from(now_ms.wrapping_sub(ms)));
        Quiet { all: since(self.moved_ms), sides: self.stuck_ms.map(since) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Acknowledged::{All, Part};
    use testkit::seeds::seeds;

    fn visit(
        activity: &mut LastActivity,
        now_ms: u32,
        progress: u32,
        looks: [Acknowledged; 2],
    ) -> [u128; 3] {
        let quiet = activity.visit(now_ms, progress, |side| looks[side as usize]);
        [quiet.all, quiet.sides[0], quiet.sides[1]].map(|it| it.as_millis())
    }

    #[test]
    fn nothing_having_moved_is_counted_from_when_something_last_did() {
        let mut activity = LastActivity::new(u32::MAX - 5);
        assert_eq!(visit(&mut activity, u32::MAX, 0, [All; 2])[0], 5);
        assert_eq!(visit(&mut activity, 4, 0, [All; 2])[0], 10, "the clock wraps");
        assert_eq!(visit(&mut activity, 20, 7, [All; 2])[0], 0);
        assert_eq!(visit(&mut activity, 50, 7, [All; 2])[0], 30);
        assert_eq!(visit(&mut activity, 60, 6, [All; 2])[0], 0, "counts wrap");
        activity.renew(100);
        assert_eq!(visit(&mut activity, 101, 6, [All; 2]), [1, 0, 0]);
        let quiet = activity.visit(102, 6, |_| panic!("what is acknowledged stays so"));
        let ms = Duration::from_millis;
        assert_eq!([quiet.is_over(ms(2)), quiet.is_over(ms(3))], [true, false]);
        assert_eq!(quiet.stuck(), None);
    }

    #[test]
    fn a_side_that_acknowledges_is_a_reader_at_work() {
        let mut activity = LastActivity::new(0);
        visit(&mut activity, 0, 1, [All; 2]);
        assert_eq!(visit(&mut activity, 10, 2, [Part(1), All]), [0, 0, 0]);
        assert_eq!(visit(&mut activity, 20, 2, [Part(1), All]), [10, 10, 0]);
        assert_eq!(visit(&mut activity, 30, 2, [Part(2), All]), [0, 0, 0]);
        assert_eq!(visit(&mut activity, 40, 2, [Part(2), All]), [10, 10, 0]);
        assert_eq!(visit(&mut activity, 50, 2, [All, All]), [0, 0, 0]);
    }

    #[test]
    fn a_side_that_acknowledges_nothing_is_stuck_whatever_it_sends() {
        let mut activity = LastActivity::new(0);
        for now in 1..=9 {
            visit(&mut activity, now * 10, now, [Part(7), Part(u16::try_from(now).unwrap())]);
        }
        let quiet = activity.visit(100, 100, |side| [Part(7), Part(100)][side as usize]);
        assert_eq!(quiet.all, Duration::ZERO);
        let ms = Duration::from_millis;
        assert_eq!([quiet.is_over(ms(90)), quiet.is_over(ms(91))], [true, false]);
        assert_eq!(quiet.stuck(), Some(Side::Client));
    }

    /// A peer that acknowledges a byte every so often, among visits of any rhythm, never ends, and one
    /// that has stopped to ends within the timeout and two visits; seeded.
    #[test]
    fn nobody_ends_who_acknowledges_and_everybody_who_does_not() {
        const TIMEOUT_MS: u32 = 1600;
        for seed in 0..seeds(2000) {
            let mut rng = fastrand::Rng::with_seed(seed);
            let (side, step) = (rng.usize(..2), rng.u32(1..=TIMEOUT_MS / 16));
            let (stops_ms, pause) = (rng.u32(10_000..50_000), rng.u32(1..TIMEOUT_MS - 2 * step));
            let mut activity = LastActivity::new(0);
            let (mut now, mut progress, mut acknowledged, mut next) = (0, 0, 0_u64, pause);
            let ended = loop {
                now += step;
                progress += u32::from(rng.bool());
                while next <= now.min(stops_ms) {
                    acknowledged += [rng.u64(1..70_000), 1 << rng.u32(9..24)][rng.usize(..2)];
                    next += rng.u32(1..=pause);
                }
                let quiet = activity.visit(now, progress, |it| {
                    let is_slow = it as usize == side;
                    if is_slow { Acknowledged::of(1, acknowledged) } else { All }
                });
                if quiet.is_over(Duration::from_millis(TIMEOUT_MS.into())) {
                    assert_eq!(quiet.stuck().map(|it| it as usize), Some(side), "seed {seed}");
                    break now;
                }
            };
            assert!(ended > stops_ms, "seed {seed}: at {ended} ms, before {stops_ms}");
            assert!(ended <= stops_ms + TIMEOUT_MS + 2 * step, "seed {seed}: at {ended} ms");
        }
    }

    #[test]
    fn it_is_small() {
        assert!(size_of::<LastActivity>() <= 24, "{}", size_of::<LastActivity>());
    }
}
