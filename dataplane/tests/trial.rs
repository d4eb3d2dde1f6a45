//! The trial connection of a target whose circuit breaker is half open, between real sockets.

#![allow(clippy::unwrap_used, reason = "a test")]

mod start;

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataplane::{DataPlane, Settings};
use exchange::{Entry, Outcome, Reports, Snapshot, Target, TargetCounters, TargetState, Trial};
use socket2::{Domain, SockRef, Socket, Type};
use start::{Started, free_address, start};

/// Two cores before an ejected target, which has a trial, and perhaps a healthy one.
struct Plane {
    running: Option<DataPlane>,
    address: SocketAddr,
    ejected: Arc<TargetCounters>,
    reports: Reports,
}

impl Plane {
    fn start(ejected: SocketAddr, healthy: Option<SocketAddr>, connect_attempts: usize) -> Self {
        const CORES: usize = 2;
        let settings = Settings {
            connect_attempts,
            connect_timeout: Duration::from_secs(1),
            shutdown_timeout: Duration::ZERO,
            ..Settings::default()
        };
        let Started { running, address, publisher, reports, .. } = start(CORES, &settings);
        let entry = |address| {
            Entry::new(Arc::new(Target::at(address)), Arc::new(TargetCounters::new(CORES)))
        };
        let first = Entry {
            state: TargetState::Ejected,
            trial: Some(Arc::new(Trial::default())),
            ..entry(ejected)
        };
        let ejected = Arc::clone(&first.counters);
        let second = healthy.map(|address| Entry {
            state: TargetState::Healthy,
            eligible: true,
            ..entry(address)
        });
        let entries = [first].into_iter().chain(second).collect();
        publisher.publish(&Arc::new(Snapshot { entries, settled: true, ..Snapshot::default() }));
        Self { running: Some(running), address, ejected, reports }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// The one report that there is within time.
    fn outcome(&self) -> Outcome {
        let mut report = None;
        wait_until("a report", || {
            report = self.reports.next();
            report.is_some()
        });
        report.unwrap().outcome
    }

    /// Ends it, resetting what there is.
    fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop_accepting();
            running.join();
        }
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.stop();
        if !std::thread::panicking() {
            assert!(self.reports.next().is_none(), "each trial is reported once");
            assert_eq!(self.ejected.active(), 0);
        }
    }
}

fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A target that no dial reaches and none fails at: its queue is full, so SYNs are dropped.
fn blackhole() -> (Socket, TcpStream) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let filler = TcpStream::connect(address_of(&socket)).unwrap();
    (socket, filler)
}

fn address_of(socket: &Socket) -> SocketAddr {
    socket.local_addr().unwrap().as_socket().unwrap()
}

const TRIED: fn(Option<bool>) -> Outcome = |reached| Outcome::Tried { reached };

#[test]
fn one_client_is_the_trial_and_the_others_go_elsewhere() {
    let (ejected, healthy) = (listener(), listener());
    let addresses = [&ejected, &healthy].map(|it| it.local_addr().unwrap());
    let plane = Plane::start(addresses[0], Some(addresses[1]), 3);
    let clients: Vec<_> = (0..40).map(|_| plane.connect()).collect();
    for _ in 1..clients.len() {
        healthy.accept().unwrap();
    }
    ejected.accept().unwrap();
    assert_eq!(plane.outcome(), TRIED(Some(true)));
    assert_eq!(plane.ejected.dialled(), 1);
}

#[test]
fn a_trial_that_fails_is_no_ordinary_failure_and_costs_nobody_a_connection() {
    let healthy = listener();
    let plane = Plane::start(free_address(), Some(healthy.local_addr().unwrap()), 1);
    let _client = plane.connect();
    healthy.accept().unwrap();
    assert_eq!(plane.outcome(), TRIED(Some(false)));
}

#[test]
fn a_trial_that_takes_too_long_has_failed() {
    let (healthy, (blackhole, _filler)) = (listener(), blackhole());
    let plane = Plane::start(address_of(&blackhole), Some(healthy.local_addr().unwrap()), 1);
    let _client = plane.connect();
    healthy.accept().unwrap();
    assert_eq!(plane.outcome(), TRIED(Some(false)));
}

#[test]
fn a_trial_whose_client_leaves_has_shown_nothing() {
    let (blackhole, _filler) = blackhole();
    let plane = Plane::start(address_of(&blackhole), None, 3);
    let client = plane.connect();
    wait_until("dialled", || plane.ejected.active() == 1);
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    assert_eq!(plane.outcome(), TRIED(None));
}

#[test]
fn a_trial_that_the_end_cuts_short_has_shown_nothing() {
    let (blackhole, _filler) = blackhole();
    let mut plane = Plane::start(address_of(&blackhole), None, 3);
    let mut client = plane.connect();
    wait_until("dialled", || plane.ejected.active() == 1);
    plane.stop();
    assert_eq!(plane.outcome(), TRIED(None));
    assert!(client.read(&mut [0]).is_err());
}
