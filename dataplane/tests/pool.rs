//! Connections dialled ahead by a data plane of one core, between real sockets.

#![allow(clippy::unwrap_used, reason = "a test")]

mod start;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataplane::{DataPlane, ProxyProtocol, Settings};
use exchange::{
    CoreCounters, Entry, Outcome, Publisher, Reports, Snapshot, Target, TargetCounters, TargetState,
};
use start::{Started, start};

/// What waits for a client longer than this has not been let go at once.
const LIFE: Duration = Duration::from_millis(500);

/// Of a client that is a proxy and speaks for itself.
const HEADER: &[u8] = b"PROXY UNKNOWN\r\n";

/// One core, and a target that the test accepts the connections of.
struct Plane {
    running: Option<DataPlane>,
    counters: Arc<[CoreCounters]>,
    publisher: Publisher,
    reports: Reports,
    address: SocketAddr,
    listener: Option<TcpListener>,
    target: SocketAddr,
    /// What each client begins with.
    header: &'static [u8],
}

impl Plane {
    /// Its first dial takes a second, so that dials are worth being made ahead for a while.
    fn start(settings: &Settings) -> Self {
        let Started { running, address, counters, publisher, reports } = start(1, settings);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let target = listener.local_addr().unwrap();
        let plane = Self {
            running: Some(running),
            counters,
            publisher,
            reports,
            address,
            listener: Some(listener),
            target,
            header: if settings.proxy_protocol.from.is_some() { HEADER } else { b"" },
        };
        plane.publish(plane.entry());
        plane.make_first_dial_slow();
        plane
    }

    /// With its queue full, the target's kernel drops a SYN, which is sent again after a second.
    fn make_first_dial_slow(&self) {
        let listener = self.listener();
        rustix::net::listen(listener, 0).unwrap();
        let filler = TcpStream::connect(self.target).unwrap();
        let client = self.connect();
        wait_until("a dial", || self.core().active_connections.get() == 1);
        std::thread::sleep(Duration::from_millis(50));
        rustix::net::listen(listener, 4096).unwrap();
        drop((listener.accept().unwrap(), filler));
        drop((listener.accept().unwrap(), client));
    }

    /// The target, as another instance each time.
    fn entry(&self) -> Entry {
        let target = Arc::new(Target::at(self.target));
        let entry = Entry::new(target, Arc::new(TargetCounters::new(1)));
        Entry { state: TargetState::Healthy, eligible: true, ..entry }
    }

    fn publish(&self, entry: Entry) {
        self.publish_all(vec![entry]);
    }

    fn publish_all(&self, entries: Vec<Entry>) {
        let snapshot = Snapshot { entries, settled: true, ..Snapshot::default() };
        self.publisher.publish(&Arc::new(snapshot));
    }

    /// Does something while the core is busy, with so many targets that it takes a while to learn of
    /// them. Whether all that has come is in one batch of the core.
    fn do_while_busy(&self, entry: &Entry, act: impl FnOnce()) -> bool {
        let others = (0..50_000).map(|_| Entry { eligible: false, ..self.entry() });
        let entries = [entry.clone()].into_iter().chain(others).collect();
        let turns = self.core().turns.get();
        self.publish_all(entries);
        wait_until("a turn", || self.core().turns.get() > turns);
        let (turns, started) = (self.core().turns.get(), Instant::now());
        act();
        let acted = Instant::now();
        let is_one = self.core().turns.get() == turns;
        wait_until("a turn", || self.core().turns.get() > turns);
        // One that had only been asleep would have woken up at once.
        is_one && acted.elapsed() > Duration::from_millis(5) && started.elapsed() < LIFE / 2
    }

    fn core(&self) -> &CoreCounters {
        &self.counters[0]
    }

    fn listener(&self) -> &TcpListener {
        self.listener.as_ref().unwrap()
    }

    fn connect(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(self.header).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Clients come and leave until some connections wait for more of them: these.
    fn fill(&self) -> Vec<TcpStream> {
        let listener = self.listener();
        let mut waiting = Vec::new();
        let started = Instant::now();
        while waiting.is_empty() || self.core().pooled.get() != waiting.len() as u64 {
            assert!(started.elapsed() < Duration::from_secs(20), "nothing is dialled ahead");
            let served = self.core().successful_connections.get();
            drop(self.connect());
            listener.set_nonblocking(true).unwrap();
            // A connection ends when both sides have ended it.
            wait_until("the client is served", || {
                waiting.extend(std::iter::from_fn(|| listener.accept().ok()).map(|(it, _)| it));
                waiting.retain(|stream| !has_ended(stream));
                let is_served = self.core().successful_connections.get() > served;
                is_served && self.core().active_connections.get() == 0
            });
            listener.set_nonblocking(false).unwrap();
        }
        waiting
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop_accepting();
            running.join();
        }
        if !std::thread::panicking() {
            assert_eq!(self.core().active_connections.get(), 0);
            assert_eq!(self.core().pooled.get(), 0);
        }
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
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it was used");
    }
    assert!(since.elapsed() < LIFE / 2, "{:?}", since.elapsed());
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn settings() -> Settings {
    Settings { shutdown_timeout: Duration::from_secs(5), ..Settings::default() }
}

#[test]
fn a_connection_that_waited_serves_the_next_client() {
    let plane = Plane::start(&settings());
    let mut waiting = plane.fill();
    let hits = plane.core().pool_hits.get();
    let mut client = plane.connect();
    client.write_all(b"hello").unwrap();
    wait_until("it is served", || plane.core().pool_hits.get() == hits + 1);
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
    let plane = Plane::start(&settings());
    let waiting = plane.fill();
    plane.publish(plane.entry());
    let mut client = plane.connect();
    client.write_all(b"hello").unwrap();
    let (mut server, _) = plane.listener().accept().unwrap();
    assert_let_go_at_once(waiting);
    let mut bytes = [0; 5];
    server.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
}

#[test]
fn a_target_that_gets_no_clients_has_no_connection_waiting() {
    let plane = Plane::start(&settings());
    let changes: [fn(&mut Entry); 4] = [
        |entry| entry.eligible = false,
        |entry| (entry.eligible, entry.state) = (false, TargetState::Draining),
        |entry| entry.reset = true,
        // Under fail-open it may get clients all the same.
        |entry| entry.state = TargetState::Ejected,
    ];
    let mut entry = plane.entry();
    plane.publish(entry.clone());
    for change in changes {
        // Known to be slow again: it is another one.
        plane.make_first_dial_slow();
        let waiting = plane.fill();
        change(&mut entry);
        plane.publish(entry);
        assert_let_go_at_once(waiting);
        entry = plane.entry();
        plane.publish(entry.clone());
    }
}

#[test]
fn a_dial_ahead_that_fails_is_reported_and_the_last_until_the_target_is_reached() {
    let mut plane = Plane::start(&settings());
    let waiting = plane.fill();
    plane.listener = None;
    let misses = plane.core().pool_misses.get();
    // One connection is used, and cannot be replaced.
    let client = plane.connect();
    wait_until("a dial fails", || plane.core().failed_dials.get() == 1);
    let mut report = None;
    wait_until("a report", || {
        report = plane.reports.next();
        report.is_some()
    });
    assert!(matches!(report.unwrap().outcome, Outcome::Failed { count: 1, .. }));
    assert_eq!(plane.core().pool_misses.get(), misses);
    assert_eq!(plane.core().failed_connections.get(), 0);
    // Long enough for the pool to be looked at again and again.
    std::thread::sleep(LIFE / 4);
    assert_eq!(plane.core().failed_dials.get(), 1);
    drop((client, waiting));
}

#[test]
fn clients_come_before_connections_that_wait_for_some() {
    let plane = Plane::start(&Settings { connections_max: 8, ..settings() });
    let mut ends = plane.fill();
    let started = Instant::now();
    let clients: Vec<_> = (0..8).map(|_| plane.connect()).collect();
    wait_until("all are served", || plane.core().active_connections.get() == 8);
    // What waits would otherwise have had to become too old.
    assert!(started.elapsed() < LIFE / 2, "{:?}", started.elapsed());
    assert_eq!(plane.core().pooled.get(), 0);
    ends.clear();
    drop(clients);
}

#[test]
fn whoever_says_who_it_is_gets_no_connection_that_has_just_ended() {
    let from = Some("127.0.0.0/8".parse().unwrap());
    let proxy_protocol = ProxyProtocol { from, ..ProxyProtocol::default() };
    let plane = Plane::start(&Settings { proxy_protocol, ..settings() });
    let entry = plane.entry();
    plane.publish(entry.clone());
    plane.make_first_dial_slow();
    for attempt in 0.. {
        assert!(attempt < 20, "the core is never busy");
        let waiting = plane.fill();
        let mut client = TcpStream::connect(plane.address).unwrap();
        wait_until("it is accepted", || plane.core().active_connections.get() == 1);
        let hits = plane.core().pool_hits.get();
        let is_one = plane.do_while_busy(&entry, || {
            client.write_all(&[HEADER, b"hello"].concat()).unwrap();
            drop(waiting);
        });
        if is_one {
            assert_eq!(plane.core().pool_hits.get(), hits, "it got one that had ended");
            let mut bytes = [0; 5];
            plane.listener().accept().unwrap().0.read_exact(&mut bytes).unwrap();
            assert_eq!(&bytes, b"hello");
            return;
        }
        plane.publish(entry.clone());
        drop(client);
        wait_until("it has ended", || plane.core().active_connections.get() == 0);
    }
}
