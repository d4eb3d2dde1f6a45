//! Circuit breakers: a target that cannot be connected to is left alone for a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use exchange::{BreakerState, Trial};

/// When a target's breaker opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Dials of the target that fail in a row, over all cores, before it opens; not zero.
    pub threshold: u32,
    /// How long it stays open before a trial is due; not zero, days at most.
    pub timeout: Duration,
}

/// Where a breaker can turn to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The target is not used.
    Open,
    /// One trial connection is to find out whether it can be used again.
    HalfOpen,
    /// It is used.
    Closed,
}

/// How often the breakers of all targets have turned, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turns {
    /// To open.
    pub open: u64,
    /// To half open.
    pub half_open: u64,
    /// To closed.
    pub closed: u64,
}

impl Turns {
    pub(crate) fn count(&mut self, turn: Option<Turn>) {
        match turn {
            Some(Turn::Open) => self.open += 1,
            Some(Turn::HalfOpen) => self.half_open += 1,
            Some(Turn::Closed) => self.closed += 1,
            None => {}
        }
    }
}

/// Whether a trial makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The target passes its health checks.
    Healthy,
    /// It does not, or not yet.
    Unhealthy,
    /// It is to get no connection, whatever its checks say; they may go on.
    Withdrawn { is_healthy: bool },
}

impl Standing {
    fn is_healthy(self) -> bool {
        matches!(self, Self::Healthy | Self::Withdrawn { is_healthy: true })
    }
}

/// A target's circuit breaker. Pure: it reads no clock, and of each trial only whether it was
/// claimed.
///
/// *In a row* are failed dials without a success among them or after them, by the count of
/// successes of all cores: a report that is older than the latest success says nothing about now.
/// What fails while the breaker is not closed (under fail-open, or begun before) changes nothing,
/// and no success but the trial's closes it.
///
/// There is never a second trial while one may still be made or is being made. A trial that is not
/// wanted any more is claimed by the breaker itself; where that comes too late, its result counts.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: Settings,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Closed {
        /// Dials that failed in a row.
        row: u32,
        /// The count of successes that the row is of.
        successes: u64,
    },
    Open {
        due: Instant,
        /// Whether health checks failed meanwhile: their passing again is news about the target
        /// that is worth a trial at once.
        was_unhealthy: bool,
        reason: Arc<str>,
    },
    HalfOpen {
        trial: Arc<Trial>,
        reason: Arc<str>,
    },
}

impl Breaker {
    /// A closed one.
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, phase: Phase::Closed { row: 0, successes: 0 } }
    }

    /// `count` dials failed; `successes` had succeeded when the last of them did, and `dialled`
    /// have by now.
    pub(crate) fn failed(
        &mut self,
        count: u32,
        successes: u64,
        dialled: u64,
        now: Instant,
    ) -> Option<Turn> {
        let Phase::Closed { row, successes: of } = &mut self.phase else { return None };
        if successes < dialled {
            return None;
        }
        *row = if successes == *of { row.saturating_add(count) } else { count };
        *of = successes;
        if *row < self.settings.threshold {
            return None;
        }
        let reason = match row {
            1 => "1 dial failed".into(),
            row => format!("{row} dials in a row failed").into(),
        };
        Some(self.open(now + self.settings.timeout, reason))
    }

    /// A trial is over; `reached` is as in [`exchange::Outcome::Tried`].
    pub(crate) fn tried(&mut self, reached: Option<bool>, now: Instant) -> Option<Turn> {
        let Phase::HalfOpen { trial, .. } = &self.phase else { return None };
        // Nobody made this one: the report is about a trial of an earlier life of the target.
        if !trial.is_claimed() {
            return None;
        }
        match reached {
            Some(true) => {
                self.phase = Phase::Closed { row: 0, successes: 0 };
                Some(Turn::Closed)
            }
            Some(false) => {
                Some(self.open(now + self.settings.timeout, "the trial connection failed".into()))
            }
            None => {
                self.half_open();
                None
            }
        }
    }

    /// It is `now`, and the target is like this.
    pub(crate) fn advance(&mut self, standing: Standing, now: Instant) -> Option<Turn> {
        match &mut self.phase {
            Phase::Closed { .. } => None,
            Phase::Open { due, was_unhealthy, .. } => {
                *was_unhealthy |= !standing.is_healthy();
                let is_due = *was_unhealthy || *due <= now;
                (is_due && standing == Standing::Healthy).then(|| self.half_open())
            }
            Phase::HalfOpen { trial, .. } => {
                let is_taken_back = standing != Standing::Healthy && trial.claim();
                let reason = "a trial connection waits for its health checks to pass";
                is_taken_back.then(|| self.open(now, reason.into()))
            }
        }
    }

    /// When a trial of a healthy target is due, if one will be.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.phase {
            Phase::Open { due, .. } => Some(due),
            Phase::Closed { .. } | Phase::HalfOpen { .. } => None,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed { .. })
    }

    pub(crate) fn state(&self) -> BreakerState {
        match self.phase {
            Phase::Closed { .. } => BreakerState::Closed,
            Phase::Open { .. } => BreakerState::Open,
            Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Why it is not closed.
    pub(crate) fn reason(&self) -> Option<&Arc<str>> {
        match &self.phase {
            Phase::Closed { .. } => None,
            Phase::Open { reason, .. } | Phase::HalfOpen { reason, .. } => Some(reason),
        }
    }

    /// The trial that is on offer or under way.
    pub(crate) fn trial(&self) -> Option<&Arc<Trial>> {
        match &self.phase {
            Phase::HalfOpen { trial, .. } => Some(trial),
            Phase::Closed { .. } | Phase::Open { .. } => None,
        }
    }

    fn open(&mut self, due: Instant, reason: Arc<str>) -> Turn {
        self.phase = Phase::Open { due, was_unhealthy: false, reason };
        Turn::Open
    }

    fn half_open(&mut self) -> Turn {
        let reason = "a trial connection is due".into();
        self.phase = Phase::HalfOpen { trial: Arc::default(), reason };
        Turn::HalfOpen
    }
}

#[cfg(test)]
mod tests;
