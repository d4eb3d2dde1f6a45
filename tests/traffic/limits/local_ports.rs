use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use crate::BINARY;
use testkit::backend::Backend;
use testkit::balancer::Balancer;
use testkit::http::{self, Client};
use testkit::net::address::{ports, unique};
use testkit::net::namespace::Namespaces;
use testkit::net::stream::connect_from;
use testkit::process::usage::cpu_ticks;
use testkit::skip::skip;
use testkit::wait::wait_until;

/// Local ports for outgoing connections, in a network namespace of the test's own.
const PORTS: RangeInclusive<u16> = 20_000..=20_049;
const COUNT: u64 = 50;

/// No checks or refreshes after the first, and nothing preconnected: they would take ports, too.
const QUIET: [(&str, &str); 3] =
    [("HEALTH_CHECK_PERIOD", "1h"), ("NODE_CHECK_PERIOD", "1h"), ("POOL_SIZE", "0")];

/// Runs `test` where there are few local ports, or says why not.
fn with_few_ports(test: impl FnOnce() + Send) {
    let namespaces = match Namespaces::new() {
        Ok(namespaces) => namespaces,
        Err(error) => return skip(&format!("no network namespaces: {error}")),
    };
    // Chosen where others choose theirs.
    ports();
    namespaces.near(|| {
        let range = format!("{} {}", PORTS.start(), PORTS.end());
        fs::write("/proc/sys/net/ipv4/ip_local_port_range", range).unwrap();
        test();
    });
}

/// Clients that were served and stay.
fn serve(balancer: &Balancer, count: usize) -> Vec<Client> {
    let clients = (0..count).map(|_| {
        let mut client = Client(connect_from(client_address(), balancer.address).unwrap());
        client.get("/").unwrap();
        client
    });
    clients.collect()
}

/// With a port out of the range: one that a socket was bound to is used for no other connection.
fn client_address() -> SocketAddr {
    static PORT: AtomicU16 = AtomicU16::new(25_000);
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT.fetch_add(1, Ordering::Relaxed))
}

fn headroom(balancer: &Balancer, target: SocketAddr) -> u64 {
    balancer.count(&format!("port_headroom{{node=\"{target}\"}}"))
}

#[test]
fn without_ports_towards_a_target_clients_get_another() {
    with_few_ports(|| {
        let (full, free) = (Backend::start(), Backend::start());
        let targets = [full.address, free.address];
        let environment =
            [&QUIET[..], &[("BALANCE", "round_robin"), ("CONNECT_ATTEMPTS", "1")]].concat();
        let balancer = BINARY.start(&targets, &environment);
        for target in targets {
            balancer.wait_for_state(target, "healthy");
        }
        assert_eq!(headroom(&balancer, free.address), COUNT);
        // The kernel connects from 127.0.0.1, here and in the balancer.
        let taken = std::iter::from_fn(|| TcpStream::connect(full.address).ok());
        let taken: Vec<_> = taken.collect();
        assert!(!taken.is_empty());
        let clients = serve(&balancer, 30);
        assert_eq!(free.live(), 30);
        assert_eq!(headroom(&balancer, free.address), COUNT - 30);
        assert!(balancer.count("port_exhaustions_total") >= 1);
        assert_eq!(balancer.count("failed_connections_total"), 0);
        // The target is not to blame.
        assert_eq!(balancer.count("failed_connects_total"), 0);
        assert_eq!(balancer.target(full.address)["state"], "healthy");
        let lines = balancer.log_lines("no local port towards");
        assert!((1..=2).contains(&lines.len()), "{lines:?}");
        drop((clients, taken));
    });
}

#[test]
fn checks_that_find_no_port_say_nothing_about_the_target() {
    with_few_ports(|| {
        let backends = [Backend::start(), Backend::start()];
        let targets = backends.each_ref().map(|backend| backend.address);
        let environment = [
            ("BALANCE", "round_robin"),
            ("HEALTH_CHECK_FALL", "1"),
            ("UNHEALTHY_CONNECTIONS", "reset"),
        ];
        let balancer = BINARY.start(&targets, &environment);
        for target in targets {
            balancer.wait_for_state(target, "healthy");
        }
        let mut clients = serve(&balancer, 4);
        // Also those that checks give back.
        let health = SocketAddr::new(targets[0].ip(), ports().health);
        let mut taken = Vec::new();
        let mut take_until = |is_enough: &dyn Fn() -> bool| {
            wait_until("there were checks without a port", || {
                taken.extend(TcpStream::connect(health).ok());
                is_enough()
            });
        };
        let lines = || balancer.log_lines("health checks cannot be made").len();
        take_until(&|| lines() > 0);
        // Twenty checks more.
        let told = Instant::now();
        take_until(&|| told.elapsed() >= Duration::from_secs(1));
        assert_eq!(lines(), 1);
        for target in targets {
            assert_eq!(balancer.target(target)["state"], "healthy");
        }
        for client in &mut clients {
            client.get("/").unwrap();
        }
        drop(taken);
    });
}

#[test]
fn each_source_address_has_ports_of_its_own() {
    with_few_ports(|| {
        let backend = Backend::start();
        let (full, free) = (unique(), unique());
        let sources = format!("::1,{full},{free}");
        let environment = [&QUIET[..], &[("SOURCE_ADDRESSES", &sources)]].concat();
        let balancer = BINARY.start(&[backend.address], &environment);
        assert_eq!(headroom(&balancer, backend.address), 2 * COUNT);
        let from = |source: IpAddr| {
            let peers = backend.peers().into_iter();
            u64::try_from(peers.filter(|peer| peer.ip() == source).count()).unwrap()
        };
        // They take turns, on each core.
        let clients = serve(&balancer, 20);
        let (one, other) = (from(full), from(free));
        assert!(one >= 9 && other >= 9 && one + other == 20, "{one} {other}");

        // Another balancer takes what is left of one of them.
        let only_full = full.to_string();
        let environment = [&QUIET[..], &[("SOURCE_ADDRESSES", &only_full)]].concat();
        let greedy = BINARY.start(&[backend.address], &environment);
        let taken = serve(&greedy, usize::try_from(COUNT - one).unwrap());
        let more = serve(&balancer, 20);
        assert_eq!((from(full), from(free)), (COUNT, other + 20));
        assert_eq!(headroom(&balancer, backend.address), 2 * COUNT - 40);
        let rest = serve(&balancer, usize::try_from(COUNT - other - 20).unwrap());
        assert_eq!(balancer.count("failed_connections_total"), 0);

        // With every port taken each client is told at once, and nothing spins.
        let ticks = cpu_ticks(balancer.pid());
        for _ in 0..300 {
            let client = connect_from(client_address(), balancer.address).map(Client);
            let error = client.and_then(|mut client| client.get("/")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
        let ticks = cpu_ticks(balancer.pid()) - ticks;
        // A millisecond each, in a build that is not optimized.
        assert!(ticks <= 30, "{ticks} ticks of CPU time for 300 clients");
        assert_eq!(balancer.count("failed_connections_total"), 300);
        assert_eq!(balancer.count("failed_connects_total"), 0);
        assert_eq!(balancer.target(backend.address)["state"], "healthy");
        let lines = balancer.log_lines("no local port towards");
        assert!((1..=2).contains(&lines.len()), "{lines:?}");

        // With ports there is service again. On loopback they leave TIME_WAIT after a second
        // (net.ipv4.tcp_tw_reuse).
        drop((clients, more, rest));
        wait_until("a client is served", || http::get(balancer.address, "/").is_ok());
        drop(taken);
    });
}
