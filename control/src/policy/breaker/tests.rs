use super::*;

use exchange::{ServiceIndex, Target};

const TIMEOUT: Duration = Duration::from_mins(5);
const REFUSED: io::ErrorKind = io::ErrorKind::ConnectionRefused;
const FAILED: ConnectAttempt = ConnectAttempt::Failed(REFUSED);

/// So many failed connects in a report.
fn report(count: u32, successes: u64) -> Report {
    let target = Arc::new(Target::at(([10, 0, 0, 1], 80).into()));
    Report { service: ServiceIndex::FIRST, target, count, successes, error: REFUSED }
}

/// A breaker with a threshold of 5, and the time in seconds.
struct Bench {
    breaker: Breaker,
    start: Instant,
    connected: u64,
}

impl Bench {
    fn closed(is_checked: bool) -> Self {
        let settings = BreakerSettings { threshold: 5, timeout: TIMEOUT };
        Self { breaker: Breaker::new(settings, is_checked), start: Instant::now(), connected: 0 }
    }

    /// Opened at second 0 by five failures; checks go to another port.
    fn open() -> Self {
        let mut bench = Self::closed(false);
        assert_eq!(bench.failed(5), Some(Transition::Open));
        bench
    }

    /// Opened at second 0; checks connect where clients do.
    fn open_and_checked() -> Self {
        let mut bench = Self::closed(true);
        assert_eq!(bench.failed(5), Some(Transition::Open));
        bench
    }

    fn time(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    fn failed(&mut self, count: u32) -> Option<Transition> {
        self.breaker.failed(&report(count, self.connected), self.connected, self.start)
    }

    fn attempt(&mut self, seconds: u64) -> Option<Transition> {
        self.breaker.attempt(self.time(seconds))
    }

    fn attempted(
        &mut self,
        began: u64,
        result: ConnectAttempt,
        seconds: u64,
    ) -> Option<Transition> {
        self.breaker.attempted(self.time(began), result, self.time(seconds))
    }

    /// An attempt begins in the one second, and has failed in the other.
    fn attempt_and_fail(&mut self, began: u64, ended: u64) {
        assert_eq!(self.attempt(began), Some(Transition::HalfOpen));
        assert_eq!(self.attempted(began, FAILED, ended), Some(Transition::Open));
    }

    /// In which second an attempt is due, if one will be.
    fn due(&self) -> Option<u64> {
        self.breaker.due().map(|due| (due - self.start).as_secs())
    }

    fn reason(&self) -> &str {
        self.breaker.reason().unwrap()
    }
}

#[test]
fn it_opens_at_the_threshold_and_not_before() {
    let mut bench = Bench::closed(false);
    for _ in 0..4 {
        assert_eq!(bench.failed(1), None);
    }
    assert!(bench.breaker.is_closed() && bench.breaker.reason().is_none());
    assert_eq!(bench.failed(1), Some(Transition::Open));
    assert_eq!(bench.failed(5), None, "it is open already");
    let mut bench = Bench::closed(false);
    assert_eq!(bench.failed(3), None);
    assert_eq!(bench.failed(u32::MAX), Some(Transition::Open), "put together by a core");
}

#[test]
fn a_success_ends_the_row() {
    let mut bench = Bench::closed(false);
    assert_eq!(bench.failed(4), None);
    bench.connected = 1;
    assert_eq!(bench.failed(4), None);
    assert_eq!(bench.failed(1), Some(Transition::Open));
}

#[test]
fn failures_that_a_success_has_followed_do_not_count() {
    let mut bench = Bench::closed(false);
    bench.connected = 7;
    assert_eq!(bench.breaker.failed(&report(9, 6), 7, bench.start), None);
    assert_eq!(bench.failed(4), None);
    let late = report(1, 6);
    assert_eq!(bench.breaker.failed(&late, 7, bench.start), None, "of another core, and late");
    assert_eq!(bench.failed(1), Some(Transition::Open));
}

#[test]
fn it_says_why_it_is_open_and_what_comes_next() {
    assert_eq!(
        Bench::open_and_checked().reason(),
        "5 connects in a row failed: connection refused; tried again by its next health check"
    );
    let mut bench = Bench::open();
    let reason = "5 connects in a row failed: connection refused; tried again after 1s";
    assert_eq!(bench.reason(), reason);
    assert_eq!(bench.attempt(1), Some(Transition::HalfOpen));
    assert_eq!(bench.reason(), reason, "until more is known");
    bench.attempted(1, ConnectAttempt::Failed(io::ErrorKind::TimedOut), 3);
    assert_eq!(bench.reason(), "connecting failed: timed out; tried again after 2s");
    let mut bench = Breaker::new(BreakerSettings { threshold: 1, timeout: TIMEOUT }, false);
    assert_eq!(bench.failed(&report(1, 0), 0, Instant::now()), Some(Transition::Open));
    assert!(bench.reason().unwrap().starts_with("1 connect failed: connection refused;"));
}

#[test]
fn attempts_are_made_after_one_second_and_then_after_twice_as_long_each_time() {
    let mut bench = Bench::open();
    assert_eq!(bench.due(), Some(1));
    assert_eq!(bench.attempt(0), None);
    assert_eq!(bench.attempt(1), Some(Transition::HalfOpen));
    assert_eq!((bench.due(), bench.breaker.state()), (None, BreakerState::HalfOpen));
    assert_eq!(bench.attempt(9), None, "one at a time");
    assert_eq!(bench.attempted(1, FAILED, 10), Some(Transition::Open));
    assert_eq!(bench.breaker.state(), BreakerState::Open);
    let mut ended = 10;
    for wait in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        assert_eq!(bench.due(), Some(ended + wait));
        bench.attempt_and_fail(ended + wait, ended + wait);
        ended += wait;
    }
}

#[test]
fn an_attempt_that_reaches_the_target_closes_it() {
    let mut bench = Bench::open();
    bench.attempt_and_fail(1, 1);
    assert_eq!(bench.attempt(3), Some(Transition::HalfOpen));
    assert_eq!(bench.attempted(3, ConnectAttempt::Reached, 4), Some(Transition::Closed));
    assert_eq!(bench.failed(4), None, "the row begins anew");
    assert_eq!(bench.failed(1), Some(Transition::Open));
    assert_eq!(bench.due(), Some(1), "and so does the wait");
}

#[test]
fn an_attempt_that_could_not_be_made_has_shown_nothing() {
    let mut bench = Bench::open();
    bench.attempt_and_fail(1, 1);
    assert_eq!(bench.attempt(3), Some(Transition::HalfOpen));
    assert_eq!(
        bench.attempted(3, ConnectAttempt::NotMade("no room".into()), 3),
        Some(Transition::Open)
    );
    assert_eq!(bench.due(), Some(5), "as long as before");
    let reason = "no attempt to connect could be made: no room; tried again after 2s";
    assert_eq!(bench.reason(), reason);
}

#[test]
fn no_attempt_waits_for_longer_than_the_timeout() {
    let timeout = Duration::from_millis(300);
    for is_checked in [false, true] {
        let mut breaker = Breaker::new(BreakerSettings { threshold: 1, timeout }, is_checked);
        let mut now = Instant::now();
        breaker.failed(&report(1, 0), 0, now);
        for _ in 0..3 {
            assert_eq!(breaker.due(), Some(now + timeout));
            now += timeout;
            assert_eq!(breaker.attempt(now), Some(Transition::HalfOpen));
            breaker.attempted(now, FAILED, now);
        }
    }
}

#[test]
fn a_check_that_began_after_the_opening_closes_it_and_no_other_does() {
    let mut bench = Bench::open_and_checked();
    assert_eq!(bench.breaker.passed(bench.start), None, "it may have connected before");
    assert_eq!(bench.breaker.passed(bench.time(1)), Some(Transition::Closed));
    assert_eq!(bench.breaker.passed(bench.time(2)), None, "it is closed already");
    assert_eq!(bench.failed(4), None, "the row begins anew");

    let mut bench = Bench::open();
    assert_eq!(bench.breaker.passed(bench.time(9)), None, "it went to another port");
}

#[test]
fn where_checks_find_out_the_control_plane_makes_an_attempt_only_if_none_comes() {
    let mut bench = Bench::open_and_checked();
    assert_eq!(bench.due(), Some(300));
    bench.attempt_and_fail(300, 300);
    assert_eq!(bench.due(), Some(600));
}

#[test]
fn a_connect_that_succeeds_closes_it() {
    for mut bench in [Bench::open(), Bench::open_and_checked()] {
        assert_eq!(bench.breaker.connected(0), None);
        assert_eq!(bench.breaker.connected(1), Some(Transition::Closed));
        assert_eq!(bench.breaker.connected(2), None);
    }
    let mut bench = Bench::open();
    bench.attempt(1);
    assert_eq!(bench.breaker.connected(1), Some(Transition::Closed));
    assert_eq!(bench.attempted(1, FAILED, 2), None, "whatever the attempt was to show");
}

#[test]
fn what_fails_while_it_is_open_changes_nothing() {
    for mut bench in [Bench::open(), Bench::open_and_checked()] {
        let before = format!("{:?}", bench.breaker);
        assert_eq!(bench.failed(1000), None);
        assert_eq!(format!("{:?}", bench.breaker), before);
    }
}

#[test]
fn the_end_of_an_earlier_attempt_changes_nothing() {
    let mut bench = Bench::open();
    bench.attempt(1);
    for result in [ConnectAttempt::Reached, FAILED, ConnectAttempt::NotMade(String::new())] {
        assert_eq!(bench.attempted(0, result, 2), None);
        assert_eq!(bench.breaker.state(), BreakerState::HalfOpen);
    }
    for mut bench in [Bench::closed(false), Bench::open()] {
        assert_eq!(bench.attempted(0, ConnectAttempt::Reached, 2), None, "nobody made one");
    }
}

mod simulation;
