//! Connections that are over and still count as load of their target.
//!
//! A connection that its target ended without a byte goes on counting for as long as connections
//! last on average. Else a target that ends all of them at once would look idle, and get the more
//! clients the faster it fails.
//!
//! How long connections last need not be known: when one of `n` that are open ends, what lingers
//! shrinks by a part in `n`. So it dies off at the rate at which connections do, whatever their
//! durations are and however these change. In the mean, a target's load is then what it would be if
//! it served its clients as the others do (Little's law), and so is its share of new ones.

use std::cell::Cell;

/// What lingers on a target is at most so many times what the busiest has open: where no target ever
/// says anything, nothing would make it shrink, and one that joins would get all clients for long.
const PER_BUSIEST_MAX: f64 = 1.5;

/// How the connections to all targets come and go, as one core knows it.
#[derive(Debug, Default)]
pub(crate) struct Turnover {
    /// Connections that are open: this core's, and those of the others as last read.
    own: Cell<u64>,
    elsewhere: Cell<u64>,
    /// How often each connection that was open has ended, on average, since the start.
    ended: Cell<f64>,
    /// How many of them one target has at most: as of lately, since it shrinks with time.
    busiest: Cell<f64>,
}

impl Turnover {
    /// One of this core's begins; its target has so many now.
    pub(crate) fn opened(&self, at_target: u32) {
        self.own.set(self.own.get() + 1);
        self.heed(at_target);
    }

    /// One of this core's is over.
    pub(crate) fn closed(&self) {
        self.own.set(self.own.get() - 1);
    }

    /// The other cores have so many open.
    pub(crate) fn set_elsewhere(&self, elsewhere: u64) {
        self.elsewhere.set(elsewhere);
    }

    /// To one target the other cores have so many open now, instead of so many; all together have so
    /// many.
    pub(crate) fn read(&self, before: u32, now: u32, at_target: u32) {
        let others = self.elsewhere.get().saturating_sub(before.into());
        self.elsewhere.set(others + u64::from(now));
        self.heed(at_target);
    }

    fn heed(&self, at_target: u32) {
        self.busiest.set(self.busiest.get().max(at_target.into()));
    }

    /// So many are over that their targets had answered; they are not among those open any more.
    pub(crate) fn answered(&self, count: u64) {
        let times = float(count) / (self.open() + 1.0);
        self.ended.set(self.ended.get() + times);
        self.busiest.set(self.busiest.get() * (-times).exp());
    }

    fn open(&self) -> f64 {
        float(self.own.get() + self.elsewhere.get())
    }
}

/// The connections that linger on one target.
#[derive(Debug, Default)]
pub(crate) struct Lingering {
    count: Cell<f64>,
    /// [`Turnover::ended`] when it was that many.
    as_of: Cell<f64>,
}

impl Lingering {
    /// So many have just ended without a byte.
    pub(crate) fn add(&self, count: u64, turnover: &Turnover) {
        if count == 0 {
            return;
        }
        let count = float(count);
        let most = (PER_BUSIEST_MAX * turnover.busiest.get()).max(1.0);
        self.count.set((self.left(turnover) + count).min(most));
        self.as_of.set(turnover.ended.get());
    }

    /// How many count now.
    pub(crate) fn load(&self, turnover: &Turnover) -> u32 {
        if self.count.get() == 0.0 {
            return 0; // as it is for nearly every target at nearly any time
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let load = (self.left(turnover) + ONE_LASTS).floor() as u32;
        if load == 0 {
            self.count.set(0.0);
        }
        load
    }

    fn left(&self, turnover: &Turnover) -> f64 {
        self.count.get() * (self.as_of.get() - turnover.ended.get()).exp()
    }
}

/// A single one counts as one until as many connections have ended as were open: 1 - 1/e.
const ONE_LASTS: f64 = 0.632;

#[expect(clippy::cast_precision_loss, reason = "counts of connections are far below 2^52")]
fn float(count: u64) -> f64 {
    count as f64
}
