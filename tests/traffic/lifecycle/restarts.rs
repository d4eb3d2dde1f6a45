//! One process takes over from another under load, and no client notices.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::BINARY;
use crate::lifecycle::socket_activation::listening;
use testkit::backend::Backend;
use testkit::balancer::Balancer;
use testkit::http::Client;
use testkit::net::address::unique;
use testkit::net::namespace::Namespaces;
use testkit::net::stream;
use testkit::skip::skip;

/// New connections a second.
const RATE: u32 = 2000;

/// Connections in an ordinary run; the variable asks for more.
const CONNECTIONS: usize = 4000;
const CONNECTIONS_VARIABLE: &str = "SLB_RESTART_CONNECTIONS";

/// While one process starts, clients of the next moments wait.
const THREADS: usize = 128;

/// Clients that come at [`RATE`], each with one request.
struct Load {
    address: SocketAddr,
    connections: usize,
    next: AtomicUsize,
    lost: Mutex<Vec<io::Error>>,
}

impl Load {
    fn new(address: SocketAddr) -> Self {
        let wanted = std::env::var(CONNECTIONS_VARIABLE).ok();
        let connections = wanted.map_or(CONNECTIONS, |text| text.parse().unwrap());
        Self { address, connections, next: AtomicUsize::new(0), lost: Mutex::default() }
    }

    /// Has all of them come while `restart` is called again and again; how often it was.
    fn around(&self, mut restart: impl FnMut()) -> usize {
        // One at a time: other tests want their share of the machine.
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let started = Instant::now();
        let mut restarts = 0;
        thread::scope(|scope| {
            for _ in 0..THREADS {
                thread::Builder::new()
                    .stack_size(128 * 1024)
                    .spawn_scoped(scope, || self.connect(started))
                    .unwrap();
            }
            while !self.is_over() {
                restart();
                restarts += 1;
            }
        });
        let seconds = started.elapsed().as_secs_f64();
        println!("{} connections in {seconds:.1} s, {restarts} restarts", self.connections);
        restarts
    }

    fn is_over(&self) -> bool {
        self.next.load(Ordering::SeqCst) >= self.connections
    }

    fn connect(&self, started: Instant) {
        loop {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            if number >= self.connections {
                return;
            }
            let due = started + Duration::from_secs(1) * u32::try_from(number).unwrap() / RATE;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if let Err(error) = self.request() {
                self.lost.lock().unwrap().push(error);
            }
        }
    }

    fn request(&self) -> io::Result<()> {
        let mut client = Client::connect(self.address)?;
        assert_eq!(client.get("/")?.status, 200);
        // Or ports would run out in the long form.
        stream::reset(client.0);
        Ok(())
    }

    fn assert_none_lost(self) {
        let lost = self.lost.into_inner().unwrap();
        assert!(lost.is_empty(), "{} of {} lost: {:?}", lost.len(), self.connections, lost[0]);
    }
}

/// For an admin server beside the one at `admin`.
fn other_admin(admin: SocketAddr) -> SocketAddr {
    SocketAddr::new(unique(), admin.port())
}

/// For so long a process that ends is looked at: several times as long as its listeners take to close.
const CLOSING: Duration = Duration::from_millis(100);

/// Begins to end while a client stays; handshakes that are left to the next process are no overflows.
fn end_quietly(balancer: Balancer, stays: Client) {
    balancer.signal(Signal::TERM);
    let began = Instant::now();
    while began.elapsed() < CLOSING {
        assert_eq!(balancer.count("listen_overflows_total"), 0);
    }
    drop(stays);
    wait_for_end(balancer);
}

fn end(balancer: Balancer) {
    balancer.signal(Signal::TERM);
    wait_for_end(balancer);
}

fn wait_for_end(mut balancer: Balancer) {
    assert_eq!(balancer.wait_for_end().0, Some(0));
    assert_eq!(balancer.log_lines("were still open").len(), 0);
}

#[test]
fn overlapped_restarts_lose_nobody() {
    let namespaces = match Namespaces::new() {
        Ok(namespaces) => namespaces,
        Err(reason) => return skip(&format!("no network namespaces: {reason}")),
    };
    namespaces.near(|| {
        fs::write("/proc/sys/net/ipv4/tcp_migrate_req", "1").unwrap();
        let backends = [Backend::start(), Backend::start()];
        let targets = [backends[0].address, backends[1].address];
        let first = BINARY.start_on(unique(), &targets, &[]);
        let load = Load::new(first.address);
        let mut admins = [first.admin, other_admin(first.admin)].into_iter().cycle().skip(1);
        let mut running = Some(first);
        let restarts = load.around(|| {
            let old = running.take().unwrap();
            let mut stays = old.client();
            stays.get("/").unwrap();
            running = Some(old.start_beside(admins.next().unwrap(), &targets));
            end_quietly(old, stays);
        });
        assert!(restarts >= 2);
        load.assert_none_lost();
    });
}

#[test]
fn restarts_with_a_socket_from_outside_lose_nobody() {
    let backends = [Backend::start(), Backend::start()];
    let targets = [backends[0].address, backends[1].address];
    let (socket, addresses) = listening();
    let start = || BINARY.spawn_with_socket(&socket, addresses, &targets, &[]);
    let load = Load::new(addresses[0]);
    let mut running = Some(start());
    let restarts = load.around(|| {
        let old = running.take().unwrap();
        old.wait_until_ready();
        end(old);
        running = Some(start());
    });
    assert!(restarts >= 2);
    load.assert_none_lost();
}

#[test]
fn processes_that_share_a_socket_from_outside_may_overlap() {
    let backends = [Backend::start(), Backend::start()];
    let targets = [backends[0].address, backends[1].address];
    let (socket, addresses) = listening();
    let [clients, admin] = addresses;
    let mut admins = [admin, other_admin(admin)].into_iter().cycle();
    let mut start = || {
        let addresses = [clients, admins.next().unwrap()];
        let balancer = BINARY.spawn_with_socket(&socket, addresses, &targets, &[]);
        balancer.wait_until_ready();
        balancer
    };
    let load = Load::new(addresses[0]);
    let mut running = Some(start());
    let restarts = load.around(|| {
        let next = start();
        end(running.replace(next).unwrap());
    });
    assert!(restarts >= 2);
    load.assert_none_lost();
}
