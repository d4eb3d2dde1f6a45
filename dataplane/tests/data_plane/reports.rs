//! What the control plane hears of connects, between real sockets.

use crate::plane::{Plane, free_address, listener};
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use testkit::wait::wait_until;

use dataplane::Settings;
use exchange::TargetCounters;
use socket2::{Domain, SockRef, Socket, Type};

/// One core before one target.
struct Core {
    plane: Plane,
    counters: Arc<TargetCounters>,
}

impl Core {
    fn start(target: SocketAddr) -> Self {
        let settings = Settings {
            connect_timeout: Duration::from_millis(500),
            shutdown_timeout: Duration::ZERO,
            ..Settings::default()
        };
        let plane = Plane::start(1, &settings);
        let entry = plane.healthy(target);
        let counters = Arc::clone(entry.counters());
        plane.publish(vec![entry]);
        Self { plane, counters }
    }

    /// A client, as soon as its target is being connected.
    fn connecting_client(&self) -> TcpStream {
        let client = self.plane.connect();
        wait_until("connected", || self.counters.active() == 1);
        client
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.plane.stop();
        if !std::thread::panicking() {
            assert!(self.plane.reports.next().is_none(), "a report too many");
            assert_eq!(self.counters.active(), 0);
        }
    }
}

/// A target that no connect reaches and none fails at: its queue is full, so SYNs are dropped.
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

#[test]
fn a_connect_that_fails_is_reported_with_its_error() {
    let core = Core::start(free_address());
    let mut client = core.plane.connect();
    let report = core.plane.report();
    assert_eq!((report.count, report.successes), (1, 0));
    assert_eq!(report.error, ErrorKind::ConnectionRefused);
    assert!(client.read(&mut [0]).is_err());
}

#[test]
fn a_connect_that_takes_too_long_has_timed_out() {
    let (blackhole, _filler) = blackhole();
    let core = Core::start(address_of(&blackhole));
    let _client = core.plane.connect();
    assert_eq!(core.plane.report().error, ErrorKind::TimedOut);
}

#[test]
fn a_connect_that_succeeds_is_counted_only() {
    let target = listener();
    let core = Core::start(target.local_addr().unwrap());
    let _client = core.plane.connect();
    target.accept().unwrap();
    wait_until("counted", || core.counters.connected() == 1);
}

#[test]
fn a_connect_whose_client_leaves_has_shown_nothing() {
    let (blackhole, _filler) = blackhole();
    let core = Core::start(address_of(&blackhole));
    let client = core.connecting_client();
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    wait_until("given up", || core.counters.active() == 0);
}

#[test]
fn a_connect_that_the_end_cuts_short_has_shown_nothing() {
    let (blackhole, _filler) = blackhole();
    let mut core = Core::start(address_of(&blackhole));
    let mut client = core.connecting_client();
    core.plane.stop();
    assert!(client.read(&mut [0]).is_err());
}
