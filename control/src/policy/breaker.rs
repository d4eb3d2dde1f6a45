//! Circuit breakers: a target that cannot be connected to gets no clients until it can be.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use exchange::Report;

use crate::status::BreakerState;

/// The control plane's first attempt to connect comes so long after the opening, unless
/// [`BreakerSettings::timeout`] is shorter.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// When a target's breaker opens, and how rarely it is tried again.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// Connects of the target that fail in a row, over all cores, before it opens; not zero.
    pub threshold: u32,
    /// The longest time between two attempts to connect to it while it is open; not zero, days at
    /// most.
    pub timeout: Duration,
}

/// What became of an attempt of the control plane to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectAttempt {
    /// The target was connected to.
    Reached,
    /// It was not.
    Failed(io::ErrorKind),
    /// It could not be made, for this reason: nothing is known of the target.
    NotMade(String),
}

/// Where a breaker can transition to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transition {
    /// The target is not used.
    Open,
    /// The control plane tries to connect to it.
    HalfOpen,
    /// It is used.
    Closed,
}

/// How often the breakers of all targets have changed, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transitions {
    /// To open.
    pub open: u64,
    /// To half open.
    pub half_open: u64,
    /// To closed.
    pub closed: u64,
}

impl Transitions {
    pub(crate) fn count(&mut self, transition: Option<Transition>) {
        match transition {
            Some(Transition::Open) => self.open += 1,
            Some(Transition::HalfOpen) => self.half_open += 1,
            Some(Transition::Closed) => self.closed += 1,
            None => {}
        }
    }
}

/// A target's circuit breaker. Pure: it reads no clock.
///
/// *In a row* are failed connects without a success among them or after them, by the count of
/// successes of all cores: a report that is older than the latest success says nothing about now.
///
/// Open, it closes with the first news that the target can be connected to: a health check of the
/// clients' port, a connect of a client (under fail-open, or begun before), or an attempt of the control
/// plane. What fails meanwhile puts nothing off.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    /// Whether health checks connect where clients are sent: then they find out.
    is_checked: bool,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Closed {
        /// Connects that failed in a row.
        row: u32,
        /// The count of successes that the row is of.
        successes: u64,
    },
    Open(Open),
}

#[derive(Debug)]
struct Open {
    since: Instant,
    /// The count of successes then.
    successes: u64,
    /// From one attempt to the next.
    wait: Duration,
    next: Next,
    reason: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Due(Instant),
    UnderWay { began: Instant },
}

impl Breaker {
    /// A closed one; `is_checked`: health checks connect where clients are sent.
    pub(crate) fn new(settings: BreakerSettings, is_checked: bool) -> Self {
        Self { settings, is_checked, phase: Phase::Closed { row: 0, successes: 0 } }
    }

    /// A core has reported; `connected` connects have succeeded by now.
    pub(crate) fn failed(
        &mut self,
        report: &Report,
        connected: u64,
        now: Instant,
    ) -> Option<Transition> {
        let Phase::Closed { row, successes } = &mut self.phase else { return None };
        if report.successes < connected {
            return None;
        }
        let is_in_a_row = report.successes == *successes;
        *row = if is_in_a_row { row.saturating_add(report.count) } else { report.count };
        *successes = report.successes;
        if *row < self.settings.threshold {
            return None;
        }
        let connects = match row {
            1 => "1 connect failed".to_owned(),
            row => format!("{row} connects in a row failed"),
        };
        let longest = self.settings.timeout;
        let wait = if self.is_checked { longest } else { FIRST_WAIT.min(longest) };
        self.phase = Phase::Open(Open {
            since: now,
            successes: connected,
            wait,
            next: Next::Due(now + wait),
            reason: reason(&format!("{connects}: {}", report.error), self.is_checked, wait),
        });
        Some(Transition::Open)
    }

    /// A health check that began then has passed.
    pub(crate) fn passed(&mut self, began: Instant) -> Option<Transition> {
        let is_reached = self.is_checked && self.open().is_some_and(|open| open.since < began);
        is_reached.then(|| self.close())
    }

    /// So many connects of clients have succeeded by now.
    pub(crate) fn connected(&mut self, successes: u64) -> Option<Transition> {
        let is_reached = self.open().is_some_and(|open| open.successes != successes);
        is_reached.then(|| self.close())
    }

    /// Begins an attempt of the control plane, if one is due.
    pub(crate) fn attempt(&mut self, now: Instant) -> Option<Transition> {
        let Phase::Open(open) = &mut self.phase else { return None };
        if !matches!(open.next, Next::Due(due) if due <= now) {
            return None;
        }
        open.next = Next::UnderWay { began: now };
        Some(Transition::HalfOpen)
    }

    /// The attempt that began then is over.
    pub(crate) fn attempted(
        &mut self,
        began: Instant,
        result: ConnectAttempt,
        now: Instant,
    ) -> Option<Transition> {
        let Phase::Open(open) = &mut self.phase else { return None };
        if open.next != (Next::UnderWay { began }) {
            // Of an earlier opening, or of an earlier life of the target.
            return None;
        }
        let what = match result {
            ConnectAttempt::Reached => return Some(self.close()),
            ConnectAttempt::Failed(error) => {
                open.wait = open.wait.saturating_mul(2).min(self.settings.timeout);
                format!("connecting failed: {error}")
            }
            ConnectAttempt::NotMade(why) => format!("no attempt to connect could be made: {why}"),
        };
        open.next = Next::Due(now + open.wait);
        open.reason = reason(&what, self.is_checked, open.wait);
        Some(Transition::Open)
    }

    /// When an attempt is due, if one will be.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.open()?.next {
            Next::Due(due) => Some(due),
            Next::UnderWay { .. } => None,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.open().is_none()
    }

    pub(crate) fn state(&self) -> BreakerState {
        match self.open().map(|open| &open.next) {
            None => BreakerState::Closed,
            Some(Next::Due(_)) => BreakerState::Open,
            Some(Next::UnderWay { .. }) => BreakerState::HalfOpen,
        }
    }

    /// Why it is not closed, and what comes next.
    pub(crate) fn reason(&self) -> Option<&Arc<str>> {
        self.open().map(|open| &open.reason)
    }

    fn open(&self) -> Option<&Open> {
        match &self.phase {
            Phase::Open(open) => Some(open),
            Phase::Closed { .. } => None,
        }
    }

    fn close(&mut self) -> Transition {
        self.phase = Phase::Closed { row: 0, successes: 0 };
        Transition::Closed
    }
}

/// Why a breaker is open, and what comes next.
fn reason(what: &str, is_checked: bool, wait: Duration) -> Arc<str> {
    if is_checked {
        format!("{what}; tried again by its next health check").into()
    } else {
        format!("{what}; tried again after {wait:?}").into()
    }
}

#[cfg(test)]
mod tests;
