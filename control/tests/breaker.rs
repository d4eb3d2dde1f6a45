//! Circuit breakers as a core meets them: it reports failed dials, and claims the trial.
#![allow(clippy::unwrap_used, reason = "test code outside test functions")]

mod harness;

use std::sync::Arc;
use std::time::{Duration, Instant};

use control::breaker;
use control::discovery::Settings::Static;
use exchange::{Outcome, Target, Trial};
use harness::{Plane, Server, settings, wait_for};

const TIMEOUT: Duration = Duration::from_millis(300);

/// A plane with two healthy targets, of which the first is to fail; it opens at three failures.
struct Fleet {
    plane: Plane,
    servers: [Server; 2],
    first: Target,
}

impl Fleet {
    fn start(timeout: Duration) -> Self {
        Self::checked_every(Duration::from_millis(50), timeout)
    }

    fn checked_every(period: Duration, timeout: Duration) -> Self {
        let mut servers = [Server::start(200), Server::start(200)];
        servers.sort_by_key(|server| server.address);
        let first = servers[0].target();
        let targets = servers.iter().map(Server::target).collect();
        let mut settings = settings(Static(targets), Duration::from_secs(5));
        settings.health.period = period;
        settings.breaker = breaker::Settings { threshold: 3, timeout };
        let plane = Plane::start(settings);
        plane.wait_for_states("healthy* healthy*");
        Self { plane, servers, first }
    }

    fn failed(&self, count: u32) {
        self.plane.report(&self.first, Outcome::Failed { count, successes: 0 });
    }

    fn tried(&self, reached: Option<bool>) {
        self.plane.report(&self.first, Outcome::Tried { reached });
    }

    /// The trial of the first target, once there is one that nobody has claimed, claimed.
    fn claim(&self) -> Arc<Trial> {
        let trial = || self.plane.snapshot().entries[0].trial.clone();
        let is_there = |trial: &Option<Arc<Trial>>| trial.as_ref().is_some_and(|it| it.claim());
        wait_for(trial, is_there, "a trial").unwrap()
    }

    fn metric(&self, name: &str) -> f64 {
        self.plane.metric(&format!("load_balancer_circuit_breaker_{name}")).unwrap()
    }

    /// 0 closed, 1 half open, 2 open.
    fn state_metric(&self) -> String {
        let value = self.metric(&format!("state{{node=\"{}\"}}", self.first.address));
        value.to_string()
    }

    fn transitions(&self) -> [f64; 3] {
        ["open", "half_open", "closed"]
            .map(|to| self.metric(&format!("transitions_total{{to=\"{to}\"}}")))
    }

    /// What `/targets` says of the first target: its state and the reason.
    fn shown(&self) -> (String, Option<String>) {
        let (status, body) = self.plane.get("/targets");
        assert_eq!(status, 200);
        let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
        let text = |key: &str| answer["targets"][0][key].as_str().map(str::to_owned);
        (text("state").unwrap(), text("reason"))
    }
}

#[test]
fn a_target_that_fails_is_left_alone_until_a_trial_reaches_it() {
    let fleet = Fleet::start(TIMEOUT);
    assert_eq!((fleet.state_metric(), fleet.transitions()), ("0".to_owned(), [0.0; 3]));
    fleet.failed(1);
    fleet.failed(1);
    let opened = Instant::now();
    fleet.failed(1);
    fleet.plane.wait_for_states("ejected healthy*");
    let first = fleet.claim();
    assert!(opened.elapsed() >= TIMEOUT, "{:?}", opened.elapsed());
    assert_eq!(fleet.plane.states(), "ejected healthy*");
    assert_eq!(fleet.shown(), ("ejected".to_owned(), Some("a trial connection is due".to_owned())));
    assert_eq!((fleet.state_metric(), fleet.transitions()), ("1".to_owned(), [1.0, 1.0, 0.0]));

    let failed = Instant::now();
    fleet.tried(Some(false));
    let second = fleet.claim();
    assert!(failed.elapsed() >= TIMEOUT, "{:?}", failed.elapsed());
    assert!(!Arc::ptr_eq(&first, &second));
    fleet.tried(None);
    fleet.claim();
    fleet.tried(Some(true));
    fleet.plane.wait_for_states("healthy* healthy*");
    assert_eq!(fleet.shown(), ("healthy".to_owned(), None));
    assert_eq!((fleet.state_metric(), fleet.transitions()), ("0".to_owned(), [2.0, 2.0, 1.0]));
}

#[test]
fn the_trial_is_due_on_time() {
    // Well below the second in which the controller looks around by itself, and without checks that
    // would make it do so.
    let timeout = Duration::from_millis(20);
    let fleet = Fleet::checked_every(Duration::from_hours(1), timeout);
    let started = Instant::now();
    for _ in 0..10 {
        fleet.failed(3);
        fleet.claim();
        fleet.tried(Some(true));
        fleet.plane.wait_for_states("healthy* healthy*");
    }
    assert!(started.elapsed() >= timeout * 10);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn passing_checks_close_nothing_but_bring_the_trial_forward() {
    let fleet = Fleet::start(Duration::from_hours(1));
    fleet.failed(3);
    fleet.plane.wait_for_states("ejected healthy*");
    assert_eq!(fleet.state_metric(), "2");
    assert_eq!(fleet.shown().1.as_deref(), Some("3 dials in a row failed"));
    let probes = fleet.servers[0].probes();
    wait_for(|| fleet.servers[0].probes(), |now| *now >= probes + 5, "checks that pass");
    assert_eq!(fleet.plane.states(), "ejected healthy*");
    assert!(fleet.plane.snapshot().entries[0].trial.is_none());

    // Fall is 3; nothing shows that the ejected target is unhealthy too.
    let probes = fleet.servers[0].probes();
    fleet.servers[0].answer_with(503);
    wait_for(|| fleet.servers[0].probes(), |now| *now >= probes + 5, "checks that fail");
    assert!(fleet.plane.snapshot().entries[0].trial.is_none());
    fleet.servers[0].answer_with(200);
    fleet.claim();
    assert_eq!(fleet.plane.states(), "ejected healthy*");
    fleet.tried(Some(true));
    fleet.plane.wait_for_states("healthy* healthy*");
}

#[test]
fn when_all_are_ejected_all_are_used() {
    let fleet = Fleet::start(Duration::from_hours(1));
    for server in &fleet.servers {
        fleet.plane.report(&server.target(), Outcome::Failed { count: 3, successes: 0 });
    }
    fleet.plane.wait_for_states("ejected* ejected*");
    assert!(fleet.plane.snapshot().fail_open);
    assert_eq!(fleet.plane.metric("load_balancer_fail_open"), Some(1.0));
}

#[test]
fn failures_in_any_number_are_heard() {
    let fleet = Fleet::start(Duration::from_hours(1));
    // More than the queue and a batch hold, of a target nobody knows; the last is what counts.
    let unknown = Target::at("127.0.0.1:1".parse().unwrap());
    for _ in 0..5000 {
        fleet.plane.report(&unknown, Outcome::Failed { count: 1, successes: 0 });
    }
    fleet.failed(3);
    // Cores send what found the queue full with their next report, or when they are idle.
    wait_for(
        || {
            fleet.plane.report(&unknown, Outcome::Failed { count: 1, successes: 0 });
            fleet.plane.states()
        },
        |states| states == "ejected healthy*",
        "the target's ejection",
    );
}
