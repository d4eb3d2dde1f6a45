use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use exchange::{Report, ServiceIndex, Target, TargetId};

use super::target::FAILURES_TOLD_MAX;
use super::*;
use crate::policy::breaker::{self, ConnectAttempt};
use crate::policy::roster::{Roster, Rules};
use crate::policy::settings::PolicySettings;

/// A roster and what was logged of it, at a time that only the test moves.
struct Told {
    roster: Roster,
    before: Arc<Status>,
    now: std::time::Instant,
}

fn rules() -> Rules {
    Rules {
        rise: 1,
        fall: 1,
        has_checks: true,
        check_port: Some(81),
        warmup_max: Duration::from_secs(2),
        cores: 1,
        affinity: false,
        policy: PolicySettings {
            fail_open_threshold: 0,
            breaker: breaker::BreakerSettings { threshold: 2, timeout: Duration::from_secs(10) },
            drain_timeout: Duration::from_mins(5),
            reset_unhealthy: false,
            slow_start: Duration::ZERO,
            rebalance_rate: 0,
        },
    }
}

impl Told {
    fn nothing() -> Self {
        let now = std::time::Instant::now();
        Self { roster: Roster::new(rules()), before: Arc::default(), now }
    }

    /// The log lines for what has happened since the last call.
    fn lines(&mut self) -> Vec<String> {
        let after = self.roster.status(self.now);
        let lines = changes(&self.before, &after);
        self.before = after;
        lines.into_iter().map(|(level, line)| format!("{level} {line}")).collect()
    }

    fn discovered(&mut self, targets: &[&Target]) {
        self.roster.discovered(targets.iter().copied().cloned().collect(), self.now);
    }

    fn checked(&mut self, target: &Target, result: Result<(), &str>) {
        self.roster.checked(&Identity::of(target), result, self.now);
    }

    /// Two connects of it have failed, which is enough.
    fn connects_failed(&mut self, target: &Target) {
        let (target, error) = (Arc::new(target.clone()), ErrorKind::ConnectionRefused);
        self.roster.reported(
            &Report { service: ServiceIndex::FIRST, target, count: 2, successes: 0, error },
            self.now,
        );
    }

    /// So much later there is an attempt to connect to a target, which ends like this.
    fn attempted(&mut self, after: Duration, result: ConnectAttempt) {
        self.now += after;
        let [target] = &*self.roster.begin_attempts(self.now) else { panic!("one attempt") };
        assert!(self.lines().is_empty());
        self.roster.attempted(target, self.now, result, self.now);
    }
}

fn first_target() -> Target {
    Target::at("10.0.0.1:80".parse().unwrap())
}

#[test]
fn each_change_is_told_once_with_its_reason() {
    let mut told = Told::nothing();
    let first = first_target();
    let second = Target { id: TargetId::new("i-2"), ..first.clone() };

    told.discovered(&[&first]);
    assert_eq!(told.lines(), ["INFO target 10.0.0.1:80 is checking"]);
    told.checked(&first, Ok(()));
    assert_eq!(
        told.lines(),
        [
            "INFO target 10.0.0.1:80 is healthy",
            "INFO clients are let in: 1 of 1 targets may get them",
        ]
    );
    told.checked(&first, Err("status 503"));
    assert_eq!(
        told.lines(),
        [
            "WARN target 10.0.0.1:80 is unhealthy: status 503",
            "WARN fail-open begins: 0 of 1 targets are healthy, so all are used",
        ]
    );
    told.checked(&first, Err("status 503"));
    told.checked(&first, Err("timed out"));
    assert!(told.lines().is_empty());
    told.discovered(&[&second]);
    assert_eq!(
        told.lines(),
        [
            "INFO target 10.0.0.1:80 is draining: left discovery",
            "INFO target 10.0.0.1:80 (i-2) is checking",
            "INFO fail-open ends: 0 of 1 targets are healthy",
            "INFO clients wait: none of the targets that they got is left, and the others are \
             being checked",
        ]
    );
    told.roster.tick(told.now);
    told.roster.tick(told.now);
    assert_eq!(told.lines(), ["INFO target 10.0.0.1:80 is gone"]);
    told.discovered(&[]);
    let none = "WARN no targets are left: clients are turned away until there are some";
    assert!(told.lines().contains(&none.to_owned()));
    told.roster.tick(told.now);
    told.roster.tick(told.now);
    assert!(!told.lines().contains(&none.to_owned()));
    told.discovered(&[&first]);
    assert!(told.lines().contains(&"INFO clients wait: the targets are being checked".to_owned()));
}

#[test]
fn that_there_is_no_target_at_the_start_is_told() {
    let mut told = Told::nothing();
    assert!(told.lines().is_empty());
    told.discovered(&[]);
    let none = "WARN there are no targets: clients are turned away until there are some";
    assert_eq!(told.lines(), [none]);
    told.discovered(&[]);
    assert!(told.lines().is_empty());
}

#[test]
fn each_turn_of_a_breaker_is_told_once_with_its_reason() {
    let mut told = Told::nothing();
    let first = first_target();
    let second = Target::at("10.0.0.2:80".parse().unwrap());
    told.discovered(&[&first, &second]);
    told.checked(&first, Ok(()));
    told.checked(&second, Ok(()));
    told.lines();

    told.connects_failed(&first);
    let ejected = "WARN target 10.0.0.1:80 is ejected";
    let refused = "connection refused; tried again after";
    assert_eq!(told.lines(), [format!("{ejected}: 2 connects in a row failed: {refused} 1s")]);
    told.connects_failed(&first);
    assert!(told.lines().is_empty());
    let seconds = Duration::from_secs;
    for (wait, next) in [(1, 2), (2, 4), (4, 8), (8, 10)] {
        told.attempted(seconds(wait), ConnectAttempt::Failed(ErrorKind::ConnectionRefused));
        let line = format!("{ejected}: connecting failed: {refused} {next}s");
        assert_eq!(told.lines(), [line]);
    }
    told.attempted(seconds(10), ConnectAttempt::Failed(ErrorKind::ConnectionRefused));
    assert!(told.lines().is_empty(), "nothing is new");
    told.attempted(seconds(10), ConnectAttempt::Reached);
    let back = "INFO target 10.0.0.1:80 is healthy: it can be connected to again";
    assert_eq!(told.lines(), [back]);
}

#[test]
fn whom_fail_open_uses_is_told() {
    let mut told = Told::nothing();
    let [first, second] = ["10.0.0.1:80", "10.0.0.2:80"].map(|it| Target::at(it.parse().unwrap()));
    told.discovered(&[&first, &second]);
    told.checked(&first, Ok(()));
    told.checked(&second, Ok(()));
    told.connects_failed(&first);
    told.lines();
    let last = |told: &mut Told| told.lines().pop();
    told.connects_failed(&second);
    let begins = "WARN fail-open begins: 0 of 2 targets are healthy, so those that pass their checks \
                  are used, ejected or not";
    assert_eq!(last(&mut told).as_deref(), Some(begins));
    told.checked(&first, Err("status 503"));
    assert!(last(&mut told).is_none());
    told.checked(&second, Err("status 503"));
    let goes_on = "WARN fail-open goes on: 0 of 2 targets are healthy, so all are used";
    assert_eq!(last(&mut told).as_deref(), Some(goes_on));
    told.checked(&first, Ok(()));
    assert_eq!(last(&mut told).as_deref(), Some(begins.replace("begins", "goes on").as_str()));
    told.roster.status(told.now).targets()[0].counters().on(0).connected.increment();
    let ends = "INFO fail-open ends: 1 of 2 targets are healthy";
    assert_eq!(last(&mut told).as_deref(), Some(ends));
}

#[test]
fn why_checks_fail_is_told_before_fail_open_begins() {
    let mut told = Told::nothing();
    // One failed check is not enough to be unhealthy, but it is to have a first result.
    told.roster = Roster::new(Rules { fall: 3, ..rules() });
    let targets: Vec<_> = (1..=12).map(|n| Target::at(([10, 0, 0, n], 80).into())).collect();
    told.discovered(&targets.iter().collect::<Vec<_>>());
    told.lines();
    for target in &targets {
        told.checked(target, Err("connection refused"));
    }
    let lines = told.lines();
    assert_eq!(lines.len(), FAILURES_TOLD_MAX + 3, "{lines:?}");
    assert_eq!(lines[0], "WARN target 10.0.0.1:80 fails its health check: connection refused");
    assert_eq!(lines[10], "WARN and 2 more targets fail theirs: see /targets");
    assert!(lines[11].starts_with("WARN fail-open begins: 0 of 12 targets"), "{lines:?}");
}

#[test]
fn failed_checks_are_counted_and_those_that_were_not_made_are_not() {
    let mut told = Told::nothing();
    let first = first_target();
    told.discovered(&[&first]);
    let failed = |told: &mut Told| {
        told.lines();
        told.before.targets()[0].counters().failed_checks().get()
    };
    for (result, count) in [(Ok(()), 0), (Err("status 503"), 1), (Err("status 503"), 2)] {
        told.checked(&first, result);
        assert_eq!(failed(&mut told), count);
    }
    told.roster.not_checked(&Identity::of(&first));
    assert_eq!(failed(&mut told), 2);
}
