use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::BINARY;
use testkit::backend::Backend;
use testkit::balancer::Balancer;
use testkit::http::{self, Client};
use testkit::net::address::unique;
use testkit::net::stream::connect_from;
use testkit::skip::skip;
use testkit::wait::wait_until;

/// The source of a client that is not bound to another one.
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A client that was served once, and stays connected.
///
/// # Errors
/// It was not served.
fn served(balancer: &Balancer, source: IpAddr) -> io::Result<Client> {
    let mut client = Client(connect_from(SocketAddr::new(source, 0), balancer.address)?);
    client.get("/")?;
    Ok(client)
}

/// A client that sends nothing: what nobody has read would make any close a reset.
#[track_caller]
fn assert_reset(balancer: &Balancer, source: IpAddr) {
    let stream = connect_from(SocketAddr::new(source, 0), balancer.address);
    let error = stream.and_then(|mut stream| stream.read(&mut [0])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
}

fn rejected(balancer: &Balancer, reason: &str) -> u64 {
    balancer.count(&format!("rejected_connections_total{{reason=\"{reason}\"}}"))
}

#[test]
fn connections_beyond_the_limit_are_reset_exactly() {
    const MOST: usize = 40;
    let backend = Backend::start();
    let balancer = BINARY.start(&[backend.address], &[("MAX_CONNECTIONS", "40")]);
    let mut clients = Vec::new();
    for _ in 0..2 {
        // From several threads, so that cores compete for the last place.
        let ask = || (0..25).map(|_| served(&balancer, LOCALHOST)).collect::<Vec<_>>();
        let results: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        for result in results {
            match result {
                Ok(client) => clients.push(client),
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
            }
        }
        assert_eq!(clients.len(), MOST);
        // Places are given back.
        clients.truncate(MOST / 2);
        balancer.wait_for_count("active_connections", MOST as u64 / 2);
    }
    assert_eq!(rejected(&balancer, "max_connections"), 200 - 40 - 20);
    assert_eq!(balancer.count("failed_connections_total"), 0);
    assert_eq!(balancer.count("accept_paused"), 0);
    let lines = balancer.log_lines("connections are reset (max_connections)");
    assert!((1..=2).contains(&lines.len()), "{lines:?}");
}

#[test]
fn the_log_says_the_limit_at_once_and_how_many_were_reset_when_no_more_come() {
    let backend = Backend::start();
    let balancer = BINARY.start(&[backend.address], &[("MAX_CONNECTIONS", "3")]);
    let _clients: Vec<_> = (0..3).map(|_| served(&balancer, LOCALHOST).unwrap()).collect();
    for _ in 0..27 {
        assert_reset(&balancer, LOCALHOST);
    }
    let lines = balancer.log_lines("connections are reset (max_connections)");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].ends_with("MAX_CONNECTIONS is 3"), "{lines:?}");
    balancer.wait_for_log("connections are reset (max_connections): 26 more; MAX_CONNECTIONS is 3");
}

#[test]
fn a_start_says_for_how_many_connections_there_are_descriptors() {
    let backend = Backend::start();
    for (most, limit, level) in [(1024, "", "WARN"), (1024, "100", "INFO"), (4096, "", "INFO")] {
        let environment = [("MAX_CONNECTIONS", limit)];
        let balancer = BINARY.spawn_with_descriptors(most, &[backend.address], &environment);
        balancer.wait_for_log("client connections at a time");
        let line = balancer.log_lines("client connections at a time").remove(0);
        assert!(line.contains(level), "{most} {limit}: {line}");
        balancer.wait_until_ready();
    }
}

#[test]
fn each_client_may_have_so_many_connections() {
    let backend = Backend::start();
    let balancer = BINARY.start(&[backend.address], &[("MAX_CONNECTIONS_PER_CLIENT", "3")]);
    let sources = [unique(), unique()];
    for _ in 0..20 {
        let clients: Vec<_> = [sources[0], sources[1], sources[0], sources[1], sources[0]]
            .map(|source| served(&balancer, source).unwrap())
            .into();
        assert_reset(&balancer, sources[0]);
        drop(clients);
        balancer.wait_for_count("active_connections", 0);
    }
    assert_eq!(rejected(&balancer, "max_connections_per_client"), 20);
    assert_eq!(rejected(&balancer, "max_connections"), 0);
    let lines = balancer.log_lines("connections are reset (max_connections_per_client)");
    assert!(lines[0].contains(&format!("one from {}:", sources[0])), "{lines:?}");
}

#[test]
fn only_clients_that_are_allowed_are_served() {
    let backend = Backend::start();
    let allowed = unique();
    let list = format!("10.0.0.0/8,{allowed}");
    let balancer = BINARY.start(&[backend.address], &[("ALLOW_CIDRS", &list)]);
    served(&balancer, allowed).unwrap();
    assert_reset(&balancer, LOCALHOST);
    assert_eq!(rejected(&balancer, "not_allowed"), 1);
    assert_eq!(backend.accepted(), 1);
}

#[test]
fn clients_mapped_to_ipv6_are_ipv4() {
    if let Err(error) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
        return skip(&format!("no ::1 here: {error}"));
    }
    let backend = Backend::start();
    let environment = [
        ("ALLOW_CIDRS", "127.0.0.0/8"),
        ("MAX_CONNECTIONS_PER_CLIENT", "1"),
        ("LOG_CONNECTIONS", "true"),
    ];
    let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let balancer = BINARY.start_on(any, &[backend.address], &environment);
    let [four, six] = [LOCALHOST, Ipv6Addr::LOCALHOST.into()]
        .map(|host| SocketAddr::new(host, balancer.address.port()));
    let mut client = Client::connect(four).unwrap();
    client.get("/").unwrap();
    assert_eq!(http::get(six, "/").unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(rejected(&balancer, "not_allowed"), 1);
    assert_eq!(http::get(four, "/").unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(rejected(&balancer, "max_connections_per_client"), 1);
    drop(client);
    balancer.wait_for_log("client=127.0.0.1:");
}

/// Trusts a proxy that is no allowed client itself; each client may have one connection.
fn behind_a_proxy(backend: &Backend) -> Balancer {
    let environment = [
        ("ACCEPT_PROXY_PROTOCOL", "true"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
        ("ALLOW_CIDRS", "192.0.2.0/24"),
        ("MAX_CONNECTIONS_PER_CLIENT", "1"),
        ("LOG_CONNECTIONS", "true"),
    ];
    BINARY.start(&[backend.address], &environment)
}

#[test]
fn limits_are_for_the_client_that_a_proxy_names() {
    let backend = Backend::start();
    let balancer = behind_a_proxy(&backend);
    let ask = |client: &str| {
        let mut proxy = balancer.client();
        write!(proxy.0, "PROXY {client} 443\r\n")?;
        proxy.get("/").map(|_| proxy)
    };
    let refused =
        |client| assert_eq!(ask(client).err().unwrap().kind(), ErrorKind::ConnectionReset);
    let first = ask("TCP4 192.0.2.1 192.0.2.9 1000").unwrap();
    refused("TCP4 192.0.2.1 192.0.2.9 1001");
    refused("TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.9 1002");
    let other = ask("TCP4 192.0.2.2 192.0.2.9 1003").unwrap();
    refused("TCP4 192.0.3.1 192.0.2.9 1004");
    assert_eq!(rejected(&balancer, "max_connections_per_client"), 2);
    // A proxy whom nobody has named a client of may be anybody's.
    refused("UNKNOWN 192.0.2.1 192.0.2.9 1000");
    assert_eq!(rejected(&balancer, "not_allowed"), 2);
    for (reason, client) in
        [("max_connections_per_client", "192.0.2.1:1001"), ("not_allowed", "192.0.3.1:1004")]
    {
        let lines = balancer.log_lines(&format!("connections are reset ({reason})"));
        assert!(lines[0].contains(&format!("one from {client}")), "{lines:?}");
    }
    drop((first, other));
    balancer.wait_for_count("active_connections", 0);
    ask("TCP4 192.0.2.1 192.0.2.9 1005").unwrap();
    balancer.wait_for_log("client=192.0.2.2:1003 ");
}

/// A load balancer that could not check our health would send nobody.
#[test]
fn a_proxys_own_connections_need_no_place_on_the_list_of_clients() {
    let backend = Backend::start();
    let balancer = behind_a_proxy(&backend);
    let check = || {
        let mut proxy = balancer.client();
        // LOCAL.
        proxy.0.write_all(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")?;
        proxy.get("/").map(|_| proxy)
    };
    let first = check().unwrap();
    assert_eq!(check().err().unwrap().kind(), ErrorKind::ConnectionReset);
    assert_eq!(rejected(&balancer, "max_connections_per_client"), 1);
    assert_eq!(rejected(&balancer, "not_allowed"), 0);
    drop(first);
}

#[test]
fn a_limit_that_descriptors_cannot_carry_is_refused_at_start() {
    let environment = [("CORES", "1"), ("MAX_CONNECTIONS", "100")];
    let backend = Backend::start();
    let targets = [backend.address];
    let mut balancer = BINARY.spawn_with_descriptors(200, &targets, &environment);
    assert_eq!(balancer.wait_for_end().0, Some(78));
    balancer.wait_for_log("MAX_CONNECTIONS=\"100\" needs more open files than RLIMIT_NOFILE");
    // (200 - 89 - 25) / 2, less what is kept for accepts in flight.
    balancer.wait_for_log("accepted: 1 to 39, or more");

    let environment = [("CORES", "1"), ("MAX_CONNECTIONS", "39"), ("HEALTH_CHECK_PERIOD", "1h")];
    let balancer = BINARY.spawn_with_descriptors(200, &targets, &environment);
    balancer.wait_until_ready();
    let clients: Vec<_> = (0..39).map(|_| served(&balancer, LOCALHOST).unwrap()).collect();
    for _ in 0..200 {
        assert_reset(&balancer, LOCALHOST);
    }
    assert_eq!(balancer.count("accept_paused"), 0);
    assert!(balancer.log_lines("accepting pauses").is_empty());
    drop(clients);
}

#[test]
fn a_backlog_that_the_kernel_cuts_is_told() {
    let somaxconn = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    let somaxconn: u32 = somaxconn.trim().parse().unwrap();
    if somaxconn >= 65_535 {
        return skip(&format!("net.core.somaxconn is {somaxconn}"));
    }
    let backend = Backend::start();
    let balancer = BINARY.start(&[backend.address], &[("LISTEN_BACKLOG", "65535")]);
    balancer.wait_for_log(&format!("lets only {somaxconn} clients wait"));
    let balancer = BINARY.start(&[backend.address], &[("LISTEN_BACKLOG", "1")]);
    assert!(balancer.log_lines("LISTEN_BACKLOG").is_empty());
}

/// One client that wants everything costs the others nothing but the CPU time that its connections
/// take whoever resets them: the others are compared with themselves beside the same flood against a
/// listener of the test's own.
#[test]
fn ten_thousand_connections_of_one_client_leave_the_others_alone() {
    const FLOOD: u64 = 10_000;
    const MOST: u64 = 100;
    let backend = Backend::start();
    let balancer = BINARY.start(&[backend.address], &[("MAX_CONNECTIONS_PER_CLIENT", "100")]);
    let (greedy, others) = (unique(), unique());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let elsewhere = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
    });
    let alone = p99(latencies(&balancer, others, || false));
    let beside_another = p99(latencies_beside(&balancer, others, || {
        flood(SocketAddr::new(greedy, 0), elsewhere, FLOOD);
    }));
    // They last until the flood was reset, or some of it would get their places.
    let _served: Vec<_> = (0..MOST).map(|_| served(&balancer, greedy).unwrap()).collect();
    let beside_its_own = p99(latencies_beside(&balancer, others, || {
        flood(SocketAddr::new(greedy, 0), balancer.address, FLOOD - MOST);
    }));
    println!(
        "p99 alone {alone:?}, beside a flood elsewhere {beside_another:?}, here {beside_its_own:?}"
    );
    // What a scheduler may add by itself.
    let most = beside_another * 2 + Duration::from_millis(10);
    assert!(beside_its_own < most, "{beside_another:?} {beside_its_own:?}");
    wait_until("all but a hundred are reset", || {
        rejected(&balancer, "max_connections_per_client") == FLOOD - MOST
    });
    let lines = balancer.log_lines("connections are reset");
    assert!(lines.len() <= 5, "{lines:?}");
}

/// Opens `count` connections as fast as it can, with 500 at a time at most.
fn flood(source: SocketAddr, address: SocketAddr, count: u64) {
    let mut open = Vec::new();
    for _ in 0..count {
        // A reset may be as fast as the end of the handshake.
        open.extend(connect_from(source, address).ok());
        if open.len() > 500 {
            open.clear();
        }
    }
}

/// As [`latencies`], for as long as `flood` takes.
fn latencies_beside(balancer: &Balancer, source: IpAddr, flood: impl FnOnce()) -> Vec<Duration> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let of_others =
            scope.spawn(|| latencies(balancer, source, || !is_over.load(Ordering::SeqCst)));
        flood();
        is_over.store(true, Ordering::SeqCst);
        of_others.join().unwrap()
    })
}

/// Requests, a connection each, none of which fails: at least 1000, and `more` of them.
fn latencies(balancer: &Balancer, source: IpAddr, more: impl Fn() -> bool) -> Vec<Duration> {
    let mut latencies = Vec::new();
    while latencies.len() < 1000 || more() {
        let started = Instant::now();
        served(balancer, source).unwrap();
        latencies.push(started.elapsed());
    }
    latencies
}

fn p99(mut latencies: Vec<Duration>) -> Duration {
    latencies.sort();
    latencies[latencies.len() * 99 / 100]
}
