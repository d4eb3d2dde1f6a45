//! The trial connection of a target whose circuit breaker is half open, between real sockets.

#![allow(clippy::unwrap_used, reason = "a test")]

mod harness;

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use dataplane::Settings;
use exchange::{Entry, Outcome, TargetCounters, TargetState, Trial};
use harness::{Plane, free_address, listener, wait_until};
use socket2::{Domain, SockRef, Socket, Type};

/// Two cores before an ejected target, which has a trial, and perhaps a healthy one.
struct Cores {
    plane: Plane,
    ejected: Arc<TargetCounters>,
}

impl Cores {
    fn start(ejected: SocketAddr, healthy: Option<SocketAddr>, connect_attempts: usize) -> Self {
        let settings = Settings {
            connect_attempts,
            connect_timeout: Duration::from_secs(1),
            shutdown_timeout: Duration::ZERO,
            ..Settings::default()
        };
        let plane = Plane::start(2, &settings);
        let first = Entry {
            state: TargetState::Ejected,
            trial: Some(Arc::new(Trial::default())),
            ..plane.entry(ejected)
        };
        let ejected = Arc::clone(&first.counters);
        let second = healthy.map(|address| plane.healthy(address));
        plane.publish([first].into_iter().chain(second).collect());
        Self { plane, ejected }
    }

    fn connect(&self) -> TcpStream {
        self.plane.connect()
    }

    fn outcome(&self) -> Outcome {
        self.plane.report().outcome
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        self.plane.stop();
        if !std::thread::panicking() {
            assert!(self.plane.reports.next().is_none(), "each trial is reported once");
            assert_eq!(self.ejected.active(), 0);
        }
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
    let cores = Cores::start(addresses[0], Some(addresses[1]), 3);
    let clients: Vec<_> = (0..40).map(|_| cores.connect()).collect();
    for _ in 1..clients.len() {
        healthy.accept().unwrap();
    }
    ejected.accept().unwrap();
    assert_eq!(cores.outcome(), TRIED(Some(true)));
    assert_eq!(cores.ejected.dialled(), 1);
}

#[test]
fn a_trial_that_fails_is_no_ordinary_failure_and_costs_nobody_a_connection() {
    let healthy = listener();
    let cores = Cores::start(free_address(), Some(healthy.local_addr().unwrap()), 1);
    let _client = cores.connect();
    healthy.accept().unwrap();
    assert_eq!(cores.outcome(), TRIED(Some(false)));
}

#[test]
fn a_trial_that_takes_too_long_has_failed() {
    let (healthy, (blackhole, _filler)) = (listener(), blackhole());
    let cores = Cores::start(address_of(&blackhole), Some(healthy.local_addr().unwrap()), 1);
    let _client = cores.connect();
    healthy.accept().unwrap();
    assert_eq!(cores.outcome(), TRIED(Some(false)));
}

#[test]
fn a_trial_whose_client_leaves_has_shown_nothing() {
    let (blackhole, _filler) = blackhole();
    let cores = Cores::start(address_of(&blackhole), None, 3);
    let client = cores.connect();
    wait_until("dialled", || cores.ejected.active() == 1);
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    assert_eq!(cores.outcome(), TRIED(None));
}

#[test]
fn a_trial_that_the_end_cuts_short_has_shown_nothing() {
    let (blackhole, _filler) = blackhole();
    let mut cores = Cores::start(address_of(&blackhole), None, 3);
    let mut client = cores.connect();
    wait_until("dialled", || cores.ejected.active() == 1);
    cores.plane.stop();
    assert_eq!(cores.outcome(), TRIED(None));
    assert!(client.read(&mut [0]).is_err());
}
