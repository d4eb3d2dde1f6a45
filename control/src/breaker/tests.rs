use super::*;

const TIMEOUT: Duration = Duration::from_mins(5);

/// A breaker with a threshold of 5, and the time in seconds.
struct Bench {
    breaker: Breaker,
    start: Instant,
    dialled: u64,
}

impl Bench {
    fn closed() -> Self {
        let breaker = Breaker::new(Settings { threshold: 5, timeout: TIMEOUT });
        Self { breaker, start: Instant::now(), dialled: 0 }
    }

    /// Opened at second 0 by five failures.
    fn open() -> Self {
        let mut bench = Self::closed();
        assert_eq!(bench.failed(5), Some(Turn::Open));
        bench
    }

    /// With a trial offered at second 300.
    fn half_open() -> Self {
        let mut bench = Self::open();
        assert_eq!(bench.at(300, Standing::Healthy), Some(Turn::HalfOpen));
        bench
    }

    /// With that trial claimed by a core.
    fn trying() -> Self {
        let bench = Self::half_open();
        assert!(bench.claim());
        bench
    }

    fn failed(&mut self, count: u32) -> Option<Turn> {
        self.breaker.failed(count, self.dialled, self.dialled, self.start)
    }

    fn tried(&mut self, reached: Option<bool>, seconds: u64) -> Option<Turn> {
        self.breaker.tried(reached, self.start + Duration::from_secs(seconds))
    }

    fn at(&mut self, seconds: u64, standing: Standing) -> Option<Turn> {
        self.breaker.advance(standing, self.start + Duration::from_secs(seconds))
    }

    /// As a core would.
    fn claim(&self) -> bool {
        self.breaker.trial().is_some_and(|trial| trial.claim())
    }
}

#[test]
fn it_opens_at_the_threshold_and_not_before() {
    let mut bench = Bench::closed();
    for _ in 0..4 {
        assert_eq!(bench.failed(1), None);
    }
    assert!(bench.breaker.is_closed() && bench.breaker.reason().is_none());
    assert_eq!(bench.failed(1), Some(Turn::Open));
    assert_eq!(bench.breaker.reason().map(|it| &**it), Some("5 dials in a row failed"));
    assert_eq!(bench.failed(5), None, "it is open already");
    let mut bench = Bench::closed();
    assert_eq!(bench.failed(3), None);
    assert_eq!(bench.failed(u32::MAX), Some(Turn::Open), "put together by a core");
}

#[test]
fn a_success_ends_the_row() {
    let mut bench = Bench::closed();
    assert_eq!(bench.failed(4), None);
    bench.dialled = 1;
    assert_eq!(bench.failed(4), None);
    assert_eq!(bench.failed(1), Some(Turn::Open));
}

#[test]
fn failures_that_a_success_has_followed_do_not_count() {
    let mut bench = Bench::closed();
    bench.dialled = 7;
    assert_eq!(bench.breaker.failed(9, 6, 7, bench.start), None);
    assert_eq!(bench.failed(4), None);
    assert_eq!(bench.breaker.failed(1, 6, 7, bench.start), None, "of another core, and late");
    assert_eq!(bench.failed(1), Some(Turn::Open));
}

#[test]
fn the_trial_is_due_after_the_timeout() {
    let mut bench = Bench::open();
    assert_eq!(bench.breaker.due(), Some(bench.start + TIMEOUT));
    assert_eq!(bench.at(299, Standing::Healthy), None);
    assert!(bench.breaker.trial().is_none());
    assert_eq!(bench.at(300, Standing::Healthy), Some(Turn::HalfOpen));
    assert!(bench.breaker.due().is_none() && !bench.breaker.is_closed());
    let trial = Arc::clone(bench.breaker.trial().unwrap());
    assert_eq!(bench.at(9000, Standing::Healthy), None, "for as long as it takes");
    assert!(Arc::ptr_eq(&trial, bench.breaker.trial().unwrap()));
}

#[test]
fn the_trial_decides() {
    let mut bench = Bench::trying();
    assert_eq!(bench.tried(Some(true), 301), Some(Turn::Closed));
    assert_eq!(bench.failed(4), None, "the row begins anew");
    assert_eq!(bench.failed(1), Some(Turn::Open));

    let mut bench = Bench::trying();
    assert_eq!(bench.tried(Some(false), 302), Some(Turn::Open));
    assert_eq!(bench.at(601, Standing::Healthy), None, "the timeout anew");
    assert_eq!(bench.at(602, Standing::Healthy), Some(Turn::HalfOpen));

    let mut bench = Bench::trying();
    assert_eq!(bench.tried(None, 303), None);
    assert!(bench.claim(), "another trial at once");
}

#[test]
fn nothing_else_does() {
    for mut bench in [Bench::closed(), Bench::open(), Bench::half_open()] {
        let before = format!("{:?}", bench.breaker);
        for reached in [Some(true), Some(false), None] {
            assert_eq!(bench.tried(reached, 1), None, "{before}");
        }
        assert_eq!(format!("{:?}", bench.breaker), before);
    }
    for mut bench in [Bench::open(), Bench::half_open(), Bench::trying()] {
        let before = format!("{:?}", bench.breaker);
        bench.dialled = 1000;
        assert_eq!(bench.failed(1000), None);
        assert_eq!(format!("{:?}", bench.breaker), before, "fail-open extends nothing");
    }
}

#[test]
fn checks_that_pass_again_bring_the_trial_forward_but_close_nothing() {
    let mut bench = Bench::open();
    assert_eq!(bench.at(1, Standing::Healthy), None);
    assert_eq!(bench.at(2, Standing::Unhealthy), None);
    assert_eq!(bench.at(1000, Standing::Unhealthy), None, "no trial while checks fail");
    let mut bench = Bench::open();
    assert_eq!(bench.at(2, Standing::Unhealthy), None);
    assert_eq!(bench.at(3, Standing::Healthy), Some(Turn::HalfOpen));
    assert!(!bench.breaker.is_closed());
    // The next time it waits again.
    assert!(bench.claim());
    assert_eq!(bench.tried(Some(false), 4), Some(Turn::Open));
    assert_eq!(bench.at(5, Standing::Healthy), None);
}

#[test]
fn a_trial_that_nobody_makes_is_taken_back_when_checks_fail() {
    let mut bench = Bench::half_open();
    let offered = Arc::clone(bench.breaker.trial().unwrap());
    assert_eq!(bench.at(301, Standing::Unhealthy), Some(Turn::Open));
    assert!(!offered.claim(), "a core that has not heard of it yet");
    assert_eq!(bench.at(302, Standing::Healthy), Some(Turn::HalfOpen));
    // Too late to take it back: its result counts.
    assert!(bench.claim());
    assert_eq!(bench.at(303, Standing::Unhealthy), None);
    assert_eq!(bench.at(304, Standing::Healthy), None);
    assert_eq!(bench.tried(Some(true), 305), Some(Turn::Closed));
}

const WITHDRAWN: Standing = Standing::Withdrawn { is_healthy: true };

#[test]
fn a_withdrawn_target_is_not_tried_and_time_goes_on_for_it() {
    let mut bench = Bench::open();
    assert_eq!(bench.at(1, WITHDRAWN), None);
    assert_eq!(bench.at(2, Standing::Healthy), None, "coming back says nothing");
    assert_eq!(bench.at(301, WITHDRAWN), None);
    assert_eq!(bench.at(302, Standing::Healthy), Some(Turn::HalfOpen));
    assert_eq!(bench.at(303, WITHDRAWN), Some(Turn::Open));
    assert_eq!(bench.at(304, Standing::Healthy), Some(Turn::HalfOpen), "it was due before");

    let mut bench = Bench::open();
    assert_eq!(bench.at(1, Standing::Withdrawn { is_healthy: false }), None);
    assert_eq!(bench.at(2, WITHDRAWN), None);
    assert_eq!(bench.at(3, Standing::Healthy), Some(Turn::HalfOpen), "its checks pass again");
}

mod simulation;
