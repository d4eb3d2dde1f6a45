//! When old connections are closed in favour of targets that join: how many, and of which
//! targets. Pure.

mod share;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use exchange::TargetCounters;

pub(crate) use share::shares;

/// How often connections are given leave to end, give or take half of it.
const INTERVAL: Duration = Duration::from_millis(100);
/// What is not used is saved up for no longer than this: so many seconds' worth may end at once.
const BURST_S: f64 = 0.2;
/// By how much a target may exceed its share. To be exact would end more connections than it is
/// worth, since where they come back is a matter of chance.
const TOLERANCE: f64 = 1.05;
/// A round is over when no target had too many for so long: clients come back in the meantime.
const CALM: Duration = Duration::from_secs(5);
/// A round that could end no connection for so long is over: those that are left are never idle.
const PATIENCE: Duration = Duration::from_mins(10);

/// What one target has, and what it should have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Its part of all connections: 0.0 to 1.0; those of all targets add up to 1.
    pub(crate) share: f64,
    /// Its connections on all cores, without those that are about to end.
    pub(crate) connections: u64,
}

impl Load {
    /// That of a target with these counters.
    pub(crate) fn of(counters: &TargetCounters, share: f64) -> Self {
        let closing = counters.rebalance_budget().closing();
        Self { share, connections: counters.active().saturating_sub(closing) }
    }
}

/// Closes the connections that are too many at a rate after targets have joined, until none has more than its share.
#[derive(Debug)]
pub(crate) struct Rebalance {
    /// Connections a second; 0: never any.
    rate: u32,
    round: Option<Round>,
}

/// What follows on targets having joined.
#[derive(Clone, Copy, Debug)]
struct Round {
    /// When the last of them did.
    since: Instant,
    /// How many connections there were at that time, once that is known. Clients need not come
    /// back at once, or at all: that is no reason to end ever more connections.
    total: Option<u64>,
    due: Instant,
    /// Up to when the rate was given credit for.
    credited: Instant,
    credit: f64,
    /// Given leave at the last call.
    granted: u64,
    /// When a connection was last seen to have ended.
    progressed: Instant,
    /// When a target last had too many, or was about to.
    uneven: Instant,
}

impl Rebalance {
    /// At most `rate` connections a second are ended; with 0 none ever is.
    pub(crate) fn new(rate: u32) -> Self {
        Self { rate, round: None }
    }

    /// Targets have joined others at `now`.
    pub(crate) fn begin(&mut self, now: Instant) {
        if self.rate == 0 {
            return;
        }
        let fresh = Round {
            since: now,
            total: None,
            due: now + INTERVAL,
            credited: now,
            credit: 0.0,
            granted: 0,
            progressed: now,
            uneven: now,
        };
        // One that is under way goes on at its pace, for the newcomers too.
        let round = self.round.get_or_insert(fresh);
        (round.since, round.progressed, round.uneven) = (now, now, now);
    }

    /// Since when a connection has to be open for it to be ended now; none is while this is `None`.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.round.map(|round| round.since)
    }

    /// When [`Self::grant`] is to be called next.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.round.map(|round| round.due)
    }

    /// How many connections of each of the targets may end now. What was granted before has been
    /// taken back, `unused` in all. `is_final`: shares will not change by themselves. `draw` draws
    /// from 0.0 up to, not including, 1.0.
    pub(crate) fn grant(
        &mut self,
        now: Instant,
        loads: &[Load],
        unused: u64,
        is_final: bool,
        draw: &mut dyn FnMut() -> f64,
    ) -> Vec<u64> {
        let mut none = vec![0; loads.len()];
        let Some(round) = &mut self.round else { return none };
        round.due = now + next_interval(draw);
        if round.granted > unused || !is_final {
            round.progressed = now;
        }
        let excesses = round.excesses(loads);
        let excess: u64 = excesses.iter().sum();
        if excess > 0 || !is_final {
            round.uneven = now;
        }
        let since = |at| now.saturating_duration_since(at);
        if since(round.progressed) >= PATIENCE || since(round.uneven) >= CALM {
            self.round = None;
            return none;
        }
        let granted = round.spend(now, f64::from(self.rate), unused).min(excess);
        round.credit -= as_f64(granted);
        round.granted = granted;
        if granted > 0 {
            none = spread(granted, &excesses, draw());
        }
        none
    }

    /// What was granted before has been taken back, `unused` in all, and nothing is granted now.
    pub(crate) fn pause(&mut self, now: Instant, draw: &mut dyn FnMut() -> f64) {
        if let Some(round) = &mut self.round {
            round.due = now + next_interval(draw);
            (round.credited, round.credit, round.granted) = (now, 0.0, 0);
            // Nothing can be said of what would have happened.
            (round.progressed, round.uneven) = (now, now);
        }
    }
}

impl Round {
    /// By how much each target exceeds its share of the connections that there are now, or that
    /// there were when targets joined if those were more.
    fn excesses(&mut self, loads: &[Load]) -> Vec<u64> {
        let now: u64 = loads.iter().map(|load| load.connections).sum();
        let total = now.max(*self.total.get_or_insert(now));
        let excess = |load: &Load| {
            let most = (as_f64(total) * load.share * TOLERANCE).ceil();
            load.connections.saturating_sub(as_u64(most))
        };
        loads.iter().map(excess).collect()
    }

    /// The whole connections there is credit for.
    fn spend(&mut self, now: Instant, rate: f64, unused: u64) -> u64 {
        let passed = now.saturating_duration_since(self.credited).as_secs_f64();
        self.credited = now;
        let most = (rate * BURST_S).max(1.0);
        self.credit = (self.credit + as_f64(unused) + rate * passed).min(most);
        as_u64(self.credit.floor())
    }
}

fn next_interval(draw: &mut dyn FnMut() -> f64) -> Duration {
    INTERVAL.mul_f64(0.5 + draw())
}

/// Spreads `count` over the targets in proportion to their excesses, which add up to at least as
/// much; `offset`, between 0.0 and 1.0, decides who has the fractions (systematic sampling, Madow
/// 1949). None gets more than its excess.
fn spread(count: u64, excesses: &[u64], offset: f64) -> Vec<u64> {
    let whole: u64 = excesses.iter().sum();
    let up_to = |sum: u64| as_u64(as_f64(count) * as_f64(sum) / as_f64(whole) + offset);
    let mut sum = 0;
    let parts = excesses.iter().map(|&excess| {
        let before = up_to(sum);
        sum += excess;
        (up_to(sum) - before).min(excess)
    });
    parts.collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts of connections are far below 2^53")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count that was never negative"
)]
fn as_u64(count: f64) -> u64 {
    count as u64
}
