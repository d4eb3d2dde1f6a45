//! Preconnected connections by a data plane of one core, between real sockets.

use crate::plane::{Plane, listener};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use testkit::wait::{PATIENCE, wait_until};

use dataplane::{ProxyProtocol, Settings};
use exchange::{Eligibility, Entry, ResetReason, ServiceCounters};

/// What waits for a client longer than this has not been let go at once.
const LIFE: Duration = Duration::from_millis(500);

/// Of a client that is a proxy and speaks for itself.
const HEADER: &[u8] = b"PROXY UNKNOWN\r\n";

/// One core, and a target that the test accepts the connections of.
struct Core {
    plane: Plane,
    listener: Option<TcpListener>,
    target: SocketAddr,
    /// What each client begins with.
    header: &'static [u8],
}

impl Core {
    /// Its first connect takes a second, so that connects are worth being made ahead for a while.
    fn start(settings: &Settings) -> Self {
        let plane = Plane::start(1, settings);
        let listener = listener();
        let target = listener.local_addr().unwrap();
        let header = if settings.proxy_protocol.from.is_some() { HEADER } else { b"" };
        let core = Self { plane, listener: Some(listener), target, header };
        core.publish(core.entry());
        core.make_first_connect_slow();
        core
    }

    /// With its queue full, the target's kernel drops a SYN, which is sent again after a second.
    fn make_first_connect_slow(&self) {
        let listener = self.listener();
        rustix::net::listen(listener, 0).unwrap();
        let filler = TcpStream::connect(self.target).unwrap();
        let client = self.connect();
        wait_until("a connect", || self.counters().connections.active.get() == 1);
        std::thread::sleep(Duration::from_millis(50));
        rustix::net::listen(listener, 4096).unwrap();
        drop((listener.accept().unwrap(), filler));
        drop((listener.accept().unwrap(), client));
    }

    /// The target, as another instance each time.
    fn entry(&self) -> Entry {
        self.plane.healthy(self.target)
    }

    fn publish(&self, entry: Entry) {
        self.plane.publish(vec![entry]);
    }

    /// Does something while the core is busy, with so many targets that it takes a while to learn of
    /// them. Whether all that has come is in one batch of the core.
    fn do_while_busy(&self, entry: &Entry, act: impl FnOnce()) -> bool {
        let others = (0..50_000).map(|_| self.entry().with_eligibility(Eligibility::None));
        let entries = [entry.clone()].into_iter().chain(others).collect();
        let turns = self.plane.own(0).iterations.get();
        self.plane.publish(entries);
        wait_until("a turn", || self.plane.own(0).iterations.get() > turns);
        let (turns, started) = (self.plane.own(0).iterations.get(), Instant::now());
        act();
        let acted = Instant::now();
        let is_one = self.plane.own(0).iterations.get() == turns;
        wait_until("a turn", || self.plane.own(0).iterations.get() > turns);
        // One that had only been asleep would have woken up at once.
        is_one && acted.elapsed() > Duration::from_millis(5) && started.elapsed() < LIFE / 2
    }

    fn counters(&self) -> &ServiceCounters {
        self.plane.core(0)
    }

    fn listener(&self) -> &TcpListener {
        self.listener.as_ref().unwrap()
    }

    fn connect(&self) -> TcpStream {
        let mut stream = self.plane.connect();
        stream.write_all(self.header).unwrap();
        stream
    }

    /// Clients come and leave until some connections wait for more of them: these.
    fn fill(&self) -> Vec<TcpStream> {
        let listener = self.listener();
        let mut waiting = Vec::new();
        let started = Instant::now();
        while waiting.is_empty() || self.counters().preconnect.waiting.get() != waiting.len() as u64
        {
            assert!(started.elapsed() < PATIENCE, "nothing is preconnected");
            let served = self.counters().connections.successful.get();
            drop(self.connect());
            listener.set_nonblocking(true).unwrap();
            // A connection ends when both sides have ended it.
            wait_until("the client is served", || {
                waiting.extend(std::iter::from_fn(|| listener.accept().ok()).map(|(it, _)| it));
                waiting.retain(|stream| !has_ended(stream));
                let is_served = self.counters().connections.successful.get() > served;
                is_served && self.counters().connections.active.get() == 0
            });
            listener.set_nonblocking(false).unwrap();
        }
        waiting
    }
}

fn has_ended(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    !peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Asserts that nothing ever comes over any of them, and that they end before they are too old.
fn assert_let_go_at_once(waiting: Vec<TcpStream>) {
    let since = Instant::now();
    for mut stream in waiting {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it was used");
    }
    assert!(since.elapsed() < LIFE / 2, "{:?}", since.elapsed());
}

fn settings() -> Settings {
    Settings { shutdown_timeout: Duration::from_secs(5), ..Settings::default() }
}

#[test]
fn a_connection_that_waited_serves_the_next_client() {
    let core = Core::start(&settings());
    let mut waiting = core.fill();
    let hits = core.counters().preconnect.hits.get();
    let mut client = core.connect();
    client.write_all(b"hello").unwrap();
    wait_until("it is served", || core.counters().preconnect.hits.get() == hits + 1);
    // The newest.
    let mut server = waiting.pop().unwrap();
    let mut bytes = [0; 5];
    server.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
    server.write_all(b"world").unwrap();
    client.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"world");
}

#[test]
fn another_instance_at_the_same_address_gets_none_of_the_old_ones_connections() {
    let core = Core::start(&settings());
    let waiting = core.fill();
    core.publish(core.entry());
    let mut client = core.connect();
    client.write_all(b"hello").unwrap();
    let (mut server, _) = core.listener().accept().unwrap();
    assert_let_go_at_once(waiting);
    let mut bytes = [0; 5];
    server.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
}

#[test]
fn a_target_that_gets_no_clients_has_no_connection_waiting() {
    let core = Core::start(&settings());
    let changes: [fn(Entry) -> Entry; 4] = [
        |entry| entry.with_eligibility(Eligibility::None),
        |entry| {
            entry.with_eligibility(Eligibility::None).with_reset(Some(ResetReason::DrainTimeout))
        },
        |entry| entry.with_reset(Some(ResetReason::Unhealthy)),
        // Under fail-open it may get clients all the same.
        |entry| entry.with_eligibility(Eligibility::Ejected),
    ];
    let mut entry = core.entry();
    core.publish(entry.clone());
    for change in changes {
        // Known to be slow again: it is another one.
        core.make_first_connect_slow();
        let waiting = core.fill();
        core.publish(change(entry));
        assert_let_go_at_once(waiting);
        entry = core.entry();
        core.publish(entry.clone());
    }
}

#[test]
fn a_preconnect_that_fails_is_reported_and_the_last_until_the_target_is_reached() {
    let mut core = Core::start(&settings());
    let waiting = core.fill();
    core.listener = None;
    let misses = core.counters().preconnect.misses.get();
    // One connection is used, and cannot be replaced.
    let client = core.connect();
    wait_until("a connect fails", || core.counters().connects.failed.get() == 1);
    assert_eq!(core.plane.report().count, 1);
    assert_eq!(core.counters().preconnect.misses.get(), misses);
    assert_eq!(core.counters().connections.failed.get(), 0);
    // Long enough for the pool to be looked at again and again.
    std::thread::sleep(LIFE / 4);
    assert_eq!(core.counters().connects.failed.get(), 1);
    drop((client, waiting));
}

#[test]
fn clients_come_before_connections_that_wait_for_some() {
    let core = Core::start(&Settings { connections_max: 8, ..settings() });
    let mut ends = core.fill();
    let started = Instant::now();
    let clients: Vec<_> = (0..8).map(|_| core.connect()).collect();
    wait_until("all are served", || core.counters().connections.active.get() == 8);
    // What waits would otherwise have had to become too old.
    assert!(started.elapsed() < LIFE / 2, "{:?}", started.elapsed());
    assert_eq!(core.counters().preconnect.waiting.get(), 0);
    ends.clear();
    drop(clients);
}

#[test]
fn whoever_says_who_it_is_gets_no_connection_that_has_just_ended() {
    let from = Some("127.0.0.0/8".parse().unwrap());
    let proxy_protocol = ProxyProtocol { from, ..ProxyProtocol::default() };
    let core = Core::start(&Settings { proxy_protocol, ..settings() });
    let entry = core.entry();
    core.publish(entry.clone());
    core.make_first_connect_slow();
    for attempt in 0.. {
        assert!(attempt < 20, "the core is never busy");
        let waiting = core.fill();
        let mut client = core.plane.connect();
        wait_until("it is accepted", || core.counters().connections.active.get() == 1);
        let hits = core.counters().preconnect.hits.get();
        let is_one = core.do_while_busy(&entry, || {
            client.write_all(&[HEADER, b"hello"].concat()).unwrap();
            drop(waiting);
        });
        if is_one {
            assert_eq!(core.counters().preconnect.hits.get(), hits, "it got one that had ended");
            let mut bytes = [0; 5];
            core.listener().accept().unwrap().0.read_exact(&mut bytes).unwrap();
            assert_eq!(&bytes, b"hello");
            return;
        }
        core.publish(entry.clone());
        drop(client);
        wait_until("it has ended", || core.counters().connections.active.get() == 0);
    }
}
