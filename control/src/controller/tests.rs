use std::time::Duration;

use super::*;
use crate::breaker;
use crate::roster::Rules;
use exchange::{Outcome, TargetId};

/// A roster and what was logged of it, at a time that only the test moves.
struct Told {
    roster: Roster,
    before: Arc<Snapshot>,
    now: std::time::Instant,
}

fn rules() -> Rules {
    Rules {
        rise: 1,
        fall: 1,
        fail_open_threshold: 0,
        breaker: breaker::Settings { threshold: 2, timeout: Duration::from_mins(1) },
        drain_timeout: Duration::from_mins(5),
        reset_unhealthy: false,
        slow_start: Duration::ZERO,
        rebalance_rate: 0,
        cores: 1,
    }
}

impl Told {
    fn nothing() -> Self {
        let now = std::time::Instant::now();
        Self { roster: Roster::new(rules()), before: Arc::default(), now }
    }

    /// The log lines for what has happened since the last call.
    fn lines(&mut self) -> Vec<String> {
        let after = self.roster.snapshot(self.now);
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

    fn reported(&mut self, target: &Target, outcome: Outcome) {
        self.roster.reported(&Report { target: Arc::new(target.clone()), outcome }, self.now);
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
    assert_eq!(told.lines(), ["INFO target 10.0.0.1:80 is healthy"]);
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

    told.reported(&first, Outcome::Failed { count: 2, successes: 0 });
    assert_eq!(told.lines(), ["WARN target 10.0.0.1:80 is ejected: 2 dials in a row failed"]);
    told.reported(&first, Outcome::Failed { count: 2, successes: 0 });
    assert!(told.lines().is_empty());
    told.now += Duration::from_mins(1);
    assert_eq!(told.lines(), ["INFO target 10.0.0.1:80 is ejected: a trial connection is due"]);
    assert!(told.before.entries[0].trial.as_ref().unwrap().claim());
    told.reported(&first, Outcome::Tried { reached: None });
    assert!(told.lines().is_empty());
    assert!(told.before.entries[0].trial.as_ref().unwrap().claim());
    told.reported(&first, Outcome::Tried { reached: Some(false) });
    assert_eq!(told.lines(), ["WARN target 10.0.0.1:80 is ejected: the trial connection failed"]);
    told.now += Duration::from_mins(1);
    told.lines();
    assert!(told.before.entries[0].trial.as_ref().unwrap().claim());
    told.reported(&first, Outcome::Tried { reached: Some(true) });
    assert_eq!(
        told.lines(),
        ["INFO target 10.0.0.1:80 is healthy: the trial connection reached it"]
    );
}

/// A controller with nothing to do, its queue, and what it publishes.
fn idle_controller() -> (Controller, mpsc::Sender<Event>, mpsc::Receiver<Event>) {
    let (events, queue) = mpsc::channel(EVENT_QUEUE);
    let metrics = Arc::new(Metrics::new([].into(), Vec::new()));
    let settings = crate::health::Settings {
        period: Duration::from_hours(1),
        path: "/".parse().unwrap(),
        timeout: Duration::from_secs(5),
        port: None,
        proxy_header: None,
        status: "200".parse().unwrap(),
        rise: 1,
        fall: 1,
    };
    let controller = Controller {
        roster: Told::nothing().roster,
        prober: Prober::new(&settings, 8, Arc::clone(&metrics), events.clone()),
        tables: None,
        events: events.clone(),
        publisher: exchange::broadcast(1).unwrap().0,
        snapshots: watch::Sender::new(Arc::default()),
        metrics,
        due: None,
        jitter: Jitter::new(),
    };
    (controller, events, queue)
}

#[tokio::test]
async fn what_has_come_by_the_time_of_a_snapshot_is_in_it() {
    const COUNT: u16 = 300;
    let (controller, events, queue) = idle_controller();
    let mut snapshots = controller.snapshots.subscribe();
    for count in 1..=COUNT {
        let targets = (1..=count).map(|port| Target::at(([127, 0, 0, 1], port).into())).collect();
        events.try_send(Event::Discovered(targets)).unwrap();
    }
    let running = tokio::spawn(controller.run(queue));
    let all = snapshots.wait_for(|snapshot| snapshot.entries.len() == usize::from(COUNT));
    let generation = all.await.unwrap().generation.0;
    assert!(generation <= u64::from(COUNT / 10), "{generation} snapshots");
    running.abort();
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
    assert_eq!(lines.len(), FAILURES_TOLD_MAX + 2, "{lines:?}");
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
        told.before.entries[0].counters.failed_checks().get()
    };
    for (result, count) in [(Ok(()), 0), (Err("status 503"), 1), (Err("status 503"), 2)] {
        told.checked(&first, result);
        assert_eq!(failed(&mut told), count);
    }
    told.roster.not_checked(&Identity::of(&first));
    assert_eq!(failed(&mut told), 2);
}
