//! Ten targets with faults. What goes wrong with some of them costs no client anything.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::BINARY;
use crate::load::Load;
use testkit::backend::{Backend, Nginx};
use testkit::balancer::Balancer;
use testkit::skip::skip;
use testkit::wait::wait_until;

/// New connections, at least; `FAULTS_CONNECTIONS=100000` asks for more.
const CONNECTIONS: u32 = 5_000;
const CLIENTS: u32 = 8;
/// About how long they are to take, if the balancer is fast enough.
const DURATION: Duration = Duration::from_secs(8);

const PERIOD: Duration = Duration::from_millis(300);
const TIMEOUT: Duration = Duration::from_millis(300);
const FALL: u32 = 3;
const RISE: u32 = 2;
const SLOW_START: Duration = Duration::from_secs(3);

/// What a busy machine may add to any time.
const LEEWAY: Duration = Duration::from_millis(700);

/// How long so many checks take at most: each begins up to a tenth of the period late.
fn checks(count: u32) -> Duration {
    count * PERIOD.mul_f64(1.1) + TIMEOUT
}

#[track_caller]
fn assert_within(limit: Duration, since: Instant, what: &str) {
    let took = since.elapsed();
    println!("{what}: after {took:?}, of {limit:?}");
    assert!(took <= limit + LEEWAY, "{what} took {took:?} instead of {limit:?}");
}

#[test]
fn clients_notice_nothing_of_targets_that_hang_refuse_and_flap() {
    if let Err(reason) = Nginx::check() {
        return skip(&reason);
    }
    let connections = std::env::var("FAULTS_CONNECTIONS");
    let connections = connections.map_or(CONNECTIONS, |number| number.parse().unwrap());
    let mut fleet = Fleet::start();
    let balancer = fleet.balancer();
    fleet.freeze_one(&balancer);
    fleet.let_two_flap();
    let load = Load::with_pauses(DURATION * CLIENTS / connections);
    load.around(&balancer, usize::try_from(CLIENTS).unwrap(), |load| {
        let quarter = |which: u32| {
            let wanted = usize::try_from(connections * which / 4).unwrap();
            while load.served().len() < wanted {
                load.wait_for_served(10);
            }
        };
        quarter(1);
        fleet.make_one_refuse(&balancer, load);
        quarter(2);
        fleet.bring_both_back(&balancer, load);
        quarter(4);
    });
    fleet.assert_nothing_was_lost(&balancer, &load, connections);
}

struct Fleet {
    frozen: Nginx,
    refusing: Backend,
    /// Of its checks one of three fails.
    twitching: Backend,
    /// Five of its checks fail, then five pass.
    alternating: Backend,
    /// Nothing happens to these.
    steady: [Backend; 6],
}

impl Fleet {
    fn start() -> Self {
        let frozen = Nginx::start();
        let [refusing, twitching, alternating] = [(); 3].map(|()| Backend::start());
        let steady = [(); 6].map(|()| Backend::start());
        Self { frozen, refusing, twitching, alternating, steady }
    }

    /// One with all of it healthy.
    fn balancer(&self) -> Balancer {
        let flawed = [&self.refusing, &self.twitching, &self.alternating];
        let others = flawed.into_iter().chain(&self.steady).map(|backend| backend.address);
        let targets: Vec<_> = others.chain([self.frozen.address]).collect();
        let time = |time: Duration| format!("{}ms", time.as_millis());
        let environment = [
            ("HEALTH_CHECK_PERIOD", &*time(PERIOD)),
            ("HEALTH_CHECK_TIMEOUT", &*time(TIMEOUT)),
            ("HEALTH_CHECK_FALL", &*FALL.to_string()),
            ("HEALTH_CHECK_RISE", &*RISE.to_string()),
            ("SLOW_START", &*time(SLOW_START)),
        ];
        let balancer = BINARY.start(&targets, &environment);
        for target in targets {
            balancer.wait_for_state(target, "healthy");
        }
        balancer
    }

    /// Connects to it go on to succeed, so only checks can tell.
    fn freeze_one(&self, balancer: &Balancer) {
        let since = Instant::now();
        self.frozen.freeze();
        balancer.wait_for_state(self.frozen.address, "unhealthy");
        assert_within(checks(FALL), since, "a hanging target is out of use");
    }

    fn let_two_flap(&self) {
        self.twitching.set_health_in_turn(&[500, 200, 200]);
        self.alternating
            .set_health_in_turn(&[500; 5].into_iter().chain([200; 5]).collect::<Vec<_>>());
    }

    fn make_one_refuse(&mut self, balancer: &Balancer, load: &Load) {
        // What a killed server has accepted no balancer can save.
        load.between_requests(|| self.refusing.kill());
        let since = Instant::now();
        balancer.wait_for_state(self.refusing.address, "ejected");
        assert_within(checks(FALL), since, "a refusing target is out of use");
        // By then the checks have noticed, too.
        while since.elapsed() < checks(FALL) + LEEWAY {
            load.wait_for_served(1);
        }
        let failed = balancer.count("failed_connects_total");
        println!("{failed} connects failed");
        load.wait_for_served(100);
        assert_eq!(balancer.count("failed_connects_total"), failed);
    }

    /// One by its checks; the other, whose breaker is open, by an attempt of the control plane as well.
    fn bring_both_back(&mut self, balancer: &Balancer, load: &Load) {
        let (frozen, refusing) = (self.frozen.address, self.refusing.address);
        let served = load.served();
        assert!(served.iter().all(|served| served.by != frozen));
        assert_eq!(balancer.target(frozen)["active_connections"], 0);
        let turns =
            |to| balancer.count(&format!("circuit_breaker_transitions_total{{to=\"{to}\"}}"));
        // Until checks had taken it out as well, the control plane may have tried it.
        let attempts = turns("half_open");
        assert!(attempts <= 1, "{attempts}");
        assert_eq!(["open", "closed"].map(turns), [1 + attempts, 0]);

        let since = Instant::now();
        self.frozen.thaw();
        self.refusing.revive();
        let recovered = [frozen, refusing].map(|target| {
            balancer.wait_for_state(target, "healthy");
            assert_within(checks(RISE), since, "a recovered target is back");
            (target, Instant::now())
        });
        assert_eq!(["half_open", "closed"].map(turns), [attempts + 1, 1]);
        assert_that_their_shares_grow(load, recovered);
    }

    fn assert_nothing_was_lost(&self, balancer: &Balancer, load: &Load, connections: u32) {
        let served = load.served();
        let mut times: Vec<_> = served.iter().map(|served| served.took).collect();
        times.sort_unstable();
        let slowest = times.last().unwrap();
        let [half, most] = [50, 99].map(|percent| times[times.len() * percent / 100]);
        println!("{} clients, median {half:?}, 99 % {most:?}, slowest {slowest:?}", times.len());
        println!("{} of them by preconnected connections", balancer.count("pool_hits_total"));
        assert!(times.len() >= usize::try_from(connections).unwrap());
        assert_eq!(balancer.count("failed_connections_total"), 0);

        assert!(self.twitching.checks() >= 12, "{}", self.twitching.checks());
        let lines = |target: &Backend, state: &str| {
            balancer.log_lines(&format!("target {} is {state}", target.address)).len()
        };
        assert_eq!(lines(&self.twitching, "unhealthy"), 0);
        assert!(lines(&self.alternating, "unhealthy") >= 2);
        assert!(lines(&self.alternating, "healthy") >= 2, "the first one apart");
    }
}

/// Of its full share a target gets a sixth in the first third of the ramp, and eleven twelfths in
/// the last third and as long again.
fn assert_that_their_shares_grow(load: &Load, recovered: [(SocketAddr, Instant); 2]) {
    while recovered[1].1.elapsed() < SLOW_START * 4 / 3 {
        load.wait_for_served(1);
    }
    let shares = |from: u32, to: u32| {
        recovered.map(|(target, since)| {
            load.share(target, &(since + SLOW_START * from / 3..since + SLOW_START * to / 3))
        })
    };
    let [early, late] = [shares(0, 1), shares(2, 4)];
    println!("two recovered targets' shares: {early:.3?}, later {late:.3?}");
    assert!(early[0] < late[0] && early[1] < late[1], "{early:?} {late:?}");
    assert!(2.0 * (early[0] + early[1]) < late[0] + late[1], "{early:?} {late:?}");
}

#[test]
fn every_client_is_served_while_all_checks_fail() {
    let backends = [(); 10].map(|()| Backend::start());
    let addresses = backends.each_ref().map(|backend| backend.address);
    let balancer = BINARY.start(&addresses, &[]);
    for address in addresses {
        balancer.wait_for_state(address, "healthy");
    }
    let load = Load::with_pauses(Duration::from_millis(2));
    load.around(&balancer, 4, |load| {
        load.wait_for_served(100);
        for backend in &backends {
            backend.set_health(500);
        }
        balancer.wait_for_count("fail_open", 1);
        let accepted = backends.each_ref().map(Backend::accepted);
        wait_until("all of them are used", || {
            backends.iter().zip(accepted).all(|(backend, before)| backend.accepted() > before)
        });
        load.wait_for_served(500);
        assert_eq!(balancer.count("fail_open"), 1);
        for backend in &backends {
            backend.set_health(200);
        }
        balancer.wait_for_count("fail_open", 0);
        for address in addresses {
            balancer.wait_for_state(address, "healthy");
        }
        load.wait_for_served(100);
    });
    assert_eq!(balancer.count("failed_connections_total"), 0);
    for (line, more) in [("fail-open begins", ": 0 of 10 targets"), ("fail-open ends", ": 1 of 10")]
    {
        assert_eq!(balancer.log_lines(line).len(), 1);
        assert_eq!(balancer.log_lines(&format!("{line}{more}")).len(), 1);
    }
}
