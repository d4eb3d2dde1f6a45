use std::net::SocketAddr;
use std::time::{Duration, Instant};

use exchange::{Target, TargetId};

use crate::rules::{CHECK_TIMEOUT, CONNECT_TIMEOUT};

/// A place where a target may serve: an address, whoever has it.
#[derive(Debug)]
pub(crate) struct Host {
    address: SocketAddr,
    instance: u32,
    /// Whether discovery should find it.
    pub(crate) is_listed: bool,
    condition: Condition,
    /// Since when it is in this condition, or another that differs in nothing that matters.
    since: Instant,
    /// Whether every third check fails, whatever else is true.
    has_bad_thirds: bool,
    checks: u32,
}

/// How a host behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// As it should.
    Well,
    /// Nobody listens: connections are refused.
    Dead,
    /// It refuses clients' connections, but is well where it is checked.
    Deaf,
    /// Nobody answers: connections and checks take too long.
    Gone,
    /// Its kernel accepts, nobody answers (SIGSTOP): checks take too long.
    Frozen,
    /// It serves, but answers checks with 500.
    Sick,
    /// It serves, and answers every other check with 500, or so.
    Flapping,
}

/// What comes of a check or a connect, and after what time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) is_good: bool,
    pub(crate) after: Duration,
}

impl Host {
    pub(crate) fn new(number: u8, now: Instant) -> Self {
        Self {
            address: ([10, 0, 0, number], 30080).into(),
            instance: 0,
            is_listed: true,
            condition: Condition::Well,
            since: now,
            has_bad_thirds: false,
            checks: 0,
        }
    }

    pub(crate) fn with_bad_thirds(mut self) -> Self {
        self.has_bad_thirds = true;
        self
    }

    pub(crate) fn has_bad_thirds(&self) -> bool {
        self.has_bad_thirds
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn target(&self) -> Target {
        let id = TargetId::new(&format!("i-{}-{}", self.address.ip(), self.instance));
        Target { id, address: self.address, zone: None }
    }

    pub(crate) fn turn(&mut self, condition: Condition, now: Instant) {
        if condition != self.condition {
            self.condition = condition;
            self.since = now;
        }
    }

    /// Another instance has the address now.
    pub(crate) fn replace(&mut self, now: Instant) {
        self.instance += 1;
        self.since = now;
    }

    /// For how long neither checks nor connects could fail, if that holds.
    pub(crate) fn well_for(&self, now: Instant) -> Option<Duration> {
        let is_well = self.condition == Condition::Well && !self.has_bad_thirds;
        is_well.then(|| now - self.since)
    }

    /// For how long all checks have failed, if that holds.
    pub(crate) fn failing_for(&self, now: Instant) -> Option<Duration> {
        use Condition::{Deaf, Flapping, Well};
        let fails = !matches!(self.condition, Well | Deaf | Flapping);
        fails.then(|| now - self.since)
    }

    pub(crate) fn check(&mut self, rng: &mut fastrand::Rng) -> Outcome {
        self.checks += 1;
        let is_third = self.has_bad_thirds && self.checks.is_multiple_of(3);
        let answer = Duration::from_micros(rng.u64(200..30_000));
        let (is_good, after) = match self.condition {
            Condition::Well | Condition::Deaf => (!is_third, answer),
            Condition::Flapping => (rng.bool(), answer),
            Condition::Dead | Condition::Sick => (false, answer),
            Condition::Gone | Condition::Frozen => (false, CHECK_TIMEOUT),
        };
        Outcome { is_good, after }
    }

    pub(crate) fn connect(&self, rng: &mut fastrand::Rng) -> Outcome {
        let handshake = Duration::from_micros(rng.u64(100..3_000));
        let (is_good, after) = match self.condition {
            Condition::Dead | Condition::Deaf => (false, handshake),
            Condition::Gone => (false, CONNECT_TIMEOUT),
            _ => (true, handshake),
        };
        Outcome { is_good, after }
    }
}
