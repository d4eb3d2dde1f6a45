//! Circuit breakers between real sockets: cores report failed connects; checks, connects that succeed and
//! the control plane's own attempts to connect bring targets back.
use crate::plane::{Plane, serve, serve_at, settings, target};
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use testkit::backend::HealthServer;
use testkit::wait::wait_for;

use control::breaker;
use control::discovery::DiscoverySettings::Static;
use control::health::ProxyHeader;
use exchange::Target;

const HOUR: Duration = Duration::from_hours(1);

/// A plane with two healthy targets, of which the first is to fail; it opens at three failures.
struct Fleet {
    plane: Plane,
    first: Target,
    second: Target,
}

impl Fleet {
    fn start(
        targets: [Target; 2],
        timeout: Duration,
        change: impl Fn(&mut control::Settings),
    ) -> Self {
        let [first, second] = targets.clone();
        let mut settings = settings(Static(targets.into()), Duration::from_secs(5));
        settings.policy.breaker = breaker::BreakerSettings { threshold: 3, timeout };
        change(&mut settings);
        let plane = Plane::start(settings);
        plane.wait_for_states("healthy* healthy*");
        Self { plane, first, second }
    }

    fn fail(&self, count: u32) {
        self.plane.connects_failed(&self.first, count);
    }

    fn metric(&self, name: &str) -> f64 {
        self.plane.metric(&format!("load_balancer_circuit_breaker_{name}")).unwrap()
    }

    /// 0 closed, 1 half open, 2 open.
    fn state_metric(&self) -> String {
        let value = self.metric(&format!("state{{node=\"{}\"}}", self.first.address));
        value.to_string()
    }

    /// How often it has turned to open, half open and closed.
    fn transitions(&self) -> String {
        let count = |to| self.metric(&format!("transitions_total{{to=\"{to}\"}}")).to_string();
        ["open", "half_open", "closed"].map(count).join(" ")
    }

    fn wait_for_transitions(&self, expected: &str) {
        wait_for("transitions", || self.transitions(), |now| *now == expected);
    }

    /// What `/targets` says of the first target: its state and the reason.
    fn shown(&self) -> (String, Option<String>) {
        let (status, body) = self.plane.get("/targets");
        assert_eq!(status, 200);
        let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
        let text = |key: &str| answer["targets"][0][key].as_str().map(str::to_owned);
        (text("state").unwrap(), text("reason"))
    }

    fn wait_for_reason(&self, start: &str) {
        let starts = |shown: &(String, Option<String>)| {
            shown.1.as_ref().is_some_and(|reason| reason.starts_with(start))
        };
        wait_for(start, || self.shown(), starts);
    }
}

/// Two servers that answer checks where clients connect, in the order of their addresses.
fn servers() -> [&'static HealthServer; 2] {
    let mut servers = [serve(200), serve(200)];
    servers.sort_by_key(|server| server.address);
    servers
}

/// Two targets whose checks go to another port, which is the same for both.
struct Apart {
    /// What clients of the first connect to.
    first: TcpListener,
    targets: [Target; 2],
    check_port: u16,
}

impl Apart {
    /// On addresses of this test's own.
    fn new(test: u8) -> Self {
        let ips = [1, 2].map(|last| Ipv4Addr::new(127, 77, test, last));
        let check_port = serve_at((ips[0], 0).into(), 200).address.port();
        serve_at((ips[1], check_port).into(), 200);
        let first = TcpListener::bind((ips[0], 0)).unwrap();
        let address = first.local_addr().unwrap();
        let second = SocketAddr::from((ips[1], address.port()));
        Self { first, targets: [address, second].map(Target::at), check_port }
    }

    fn start(&self, timeout: Duration, change: impl Fn(&mut control::Settings)) -> Fleet {
        Fleet::start(self.targets.clone(), timeout, |settings| {
            settings.services[0].health.port = Some(self.check_port);
            change(settings);
        })
    }

    /// The control plane connects to the first target; all that comes before it closes.
    fn accept(&self) -> Vec<u8> {
        let (mut stream, _) = self.first.accept().unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        received
    }

    /// From now on connections to the first target are neither made nor refused: its queue is full.
    fn hang(&self) -> TcpStream {
        rustix::net::listen(&self.first, 0).unwrap();
        TcpStream::connect(self.first.local_addr().unwrap()).unwrap()
    }
}

#[test]
fn a_check_of_the_clients_port_brings_a_target_back() {
    let servers = servers();
    let targets = servers.each_ref().map(|it| target(it));
    let fleet = Fleet::start(targets, HOUR, |settings| {
        settings.services[0].health.timeout = Duration::from_secs(1);
    });
    assert_eq!([fleet.state_metric(), fleet.transitions()], ["0", "0 0 0"]);
    // What hangs says nothing; nor does what began before the opening.
    servers[0].set_status(0);
    let probes = servers[0].checks();
    wait_for("a check that hangs", || servers[0].checks(), |now| *now > probes);
    fleet.fail(1);
    fleet.fail(2);
    fleet.plane.wait_for_states("ejected healthy*");
    assert_eq!([fleet.state_metric(), fleet.transitions()], ["2", "1 0 0"]);
    let reason =
        "3 connects in a row failed: connection refused; tried again by its next health check";
    assert_eq!(fleet.shown(), ("ejected".to_owned(), Some(reason.to_owned())));

    servers[0].set_status(200);
    fleet.plane.wait_for_states("healthy* healthy*");
    assert_eq!(fleet.shown(), ("healthy".to_owned(), None));
    assert_eq!([fleet.state_metric(), fleet.transitions()], ["0", "1 0 1"]);
}

#[test]
fn where_checks_go_to_another_port_the_control_plane_connects_until_it_is_let_in() {
    let apart = Apart::new(1);
    let address = apart.first.local_addr().unwrap();
    let fleet = apart.start(HOUR, |settings| {
        settings.services[0].health.proxy_header = Some(ProxyHeader::V1);
    });
    let opened = Instant::now();
    fleet.fail(3);
    fleet.plane.wait_for_states("ejected healthy*");
    assert_eq!(apart.accept(), b"PROXY UNKNOWN\r\n");
    assert!(opened.elapsed() >= Duration::from_secs(1), "{:?}", opened.elapsed());
    fleet.plane.wait_for_states("healthy* healthy*");
    fleet.wait_for_transitions("1 1 1");

    // Nobody listens: attempts fail, each after twice the wait.
    let Apart { first, .. } = apart;
    drop(first);
    let opened = Instant::now();
    fleet.fail(3);
    fleet.wait_for_reason("connecting failed: connection refused; tried again after 2s");
    fleet.wait_for_reason("connecting failed: connection refused; tried again after 4s");
    assert!(opened.elapsed() >= Duration::from_secs(3), "{:?}", opened.elapsed());
    fleet.wait_for_transitions("4 3 1");
    assert_eq!(fleet.state_metric(), "2");
    let _listener = TcpListener::bind(address).unwrap();
    fleet.plane.wait_for_states("healthy* healthy*");
    assert!(opened.elapsed() >= Duration::from_secs(7), "{:?}", opened.elapsed());
}

#[test]
fn an_attempt_is_on_time_and_sends_nothing_where_targets_expect_nothing() {
    // Well below the second in which the controller looks around by itself, and without checks that
    // would make it do so.
    let timeout = Duration::from_millis(20);
    let apart = Apart::new(2);
    let fleet = apart.start(timeout, |settings| settings.services[0].health.period = HOUR);
    let started = Instant::now();
    for _ in 0..10 {
        fleet.fail(3);
        assert_eq!(apart.accept(), b"");
        fleet.plane.wait_for_states("healthy* healthy*");
    }
    assert!(started.elapsed() >= timeout * 10);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn an_attempt_that_hangs_is_seen_and_given_up() {
    let apart = Apart::new(3);
    let fleet = apart.start(Duration::from_millis(20), |settings| {
        settings.connect_timeout = Duration::from_millis(700);
    });
    let _filler = apart.hang();
    fleet.fail(3);
    wait_for("an attempt under way", || fleet.state_metric(), |state| state == "1");
    assert_eq!(fleet.plane.states(), "ejected healthy*");
    fleet.wait_for_reason("connecting failed: timed out");
}

#[test]
fn when_all_are_ejected_those_that_pass_their_checks_are_used() {
    let apart = Apart::new(5);
    let fleet = apart.start(HOUR, |_| ());
    let _filler = apart.hang();
    fleet.fail(3);
    fleet.plane.connects_failed(&fleet.second, 3);
    fleet.plane.wait_for_states("ejected* ejected*");
    assert!(fleet.plane.status().fail_open());
    assert_eq!(fleet.plane.metric("load_balancer_fail_open"), Some(1.0));
    // A client's connect has succeeded: without anything else happening it is noticed.
    fleet.plane.snapshot().entries()[0].counters().on(0).connected.increment();
    fleet.plane.wait_for_states("healthy* ejected");
    assert!(!fleet.plane.status().fail_open());
}

#[test]
fn failures_in_any_number_are_heard() {
    let apart = Apart::new(6);
    let fleet = apart.start(HOUR, |_| ());
    let _filler = apart.hang();
    // More than the queue and a batch hold, of a target nobody knows; the last is what counts.
    let unknown = Target::at("127.0.0.1:1".parse().unwrap());
    for _ in 0..5000 {
        fleet.plane.connects_failed(&unknown, 1);
    }
    fleet.fail(3);
    // Cores send what found the queue full with their next report, or when they are idle.
    wait_for(
        "the target's ejection",
        || {
            fleet.plane.connects_failed(&unknown, 1);
            fleet.plane.states()
        },
        |states| states == "ejected healthy*",
    );
}
