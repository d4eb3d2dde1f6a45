use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use crate::BINARY;
use testkit::backend::{Backend, addresses};
use testkit::balancer::Balancer;
use testkit::http::Client;
use testkit::net::port::Port;
use testkit::process::usage::{cpu_time, descriptors};
use testkit::wait::{wait_for, wait_until};

/// Enough to start on one core, and for some clients.
const DESCRIPTORS: u32 = 150;
const CLIENTS: usize = 300;
/// How often it is measured how long service takes to resume.
const RESUMPTIONS: usize = 15;

#[test]
fn without_descriptors_clients_wait_until_there_are_some() {
    let backend = Backend::start();
    let environment = [("CORES", "1"), ("HEALTH_CHECK_PERIOD", "1h")];
    let balancer = BINARY.spawn_with_descriptors(DESCRIPTORS, &[backend.address], &environment);
    balancer.wait_until_ready();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| balancer.client()).collect();
    for client in &mut clients {
        client.send("/").unwrap();
    }
    balancer.wait_for_count("accept_paused", 1);

    let (cpu, lines, started) = (cpu_time(balancer.pid()), all_lines(&balancer), Instant::now());
    thread::sleep(Duration::from_secs(3));
    let cpu = cpu_time(balancer.pid()).saturating_sub(cpu);
    let waited = started.elapsed();
    println!("{cpu:?} of CPU time in {waited:?} of waiting");
    assert!(cpu < waited / 100, "{cpu:?} of CPU time in {waited:?} of waiting");
    let lines = f64::from(u32::try_from(all_lines(&balancer) - lines).unwrap());
    assert!(lines <= waited.as_secs_f64(), "{lines} lines in {waited:?}");

    // Whoever waited longest is next; those accepted have been answered already.
    let mut clients: VecDeque<_> = clients.into();
    let accepted = balancer.count("active_connections");
    let mut served: VecDeque<_> =
        (0..accepted).map(|_| answered(clients.pop_front().unwrap())).collect();
    let mut resumptions = Vec::new();
    for _ in 0..RESUMPTIONS {
        let freed = Instant::now();
        drop(served.pop_front());
        served.push_back(answered(clients.pop_front().unwrap()));
        resumptions.push(freed.elapsed());
    }
    resumptions.sort();
    println!("service resumed after {resumptions:?}");
    // Other tests run beside this one: most attempts, not every one.
    assert!(resumptions[RESUMPTIONS / 2] < Duration::from_millis(100), "{resumptions:?}");
    drop(served);

    // Each client that is served makes room for the next.
    for mut client in clients {
        assert_eq!(client.receive().unwrap().body, backend.address.to_string());
    }
    balancer.wait_for_count("active_connections", 0);
    balancer.wait_for_count("accept_paused", 0);
    balancer.wait_for_log("accepting again");
    assert_eq!(balancer.log_lines("accepting pauses").len(), 1);
    assert_eq!(balancer.count("failed_connections_total"), 0);
    assert_eq!(usize::try_from(balancer.count("successful_connections_total")).unwrap(), CLIENTS);
    assert_eq!(balancer.get("/"), backend.address.to_string());
}

/// The client once it has its answer.
fn answered(mut client: Client) -> Client {
    client.receive().unwrap();
    client
}

fn all_lines(balancer: &Balancer) -> usize {
    balancer.log_lines("").len()
}

/// With these many descriptors there are so many checks at a time, fewer than targets that hang.
const FEW_DESCRIPTORS: u32 = 512;
const CHECKS_MAX: usize = 64;
const HANGING: u16 = 300;
/// More clients than there are descriptors for.
const MANY_CLIENTS: usize = 250;

/// Targets at addresses of their own of which none ever answers: nobody accepts.
struct Hanging {
    addresses: Vec<SocketAddr>,
    _listener: TcpListener,
    _port: Port,
}

impl Hanging {
    fn new(count: u16) -> Self {
        let port = Port::free();
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port.number())).unwrap();
        let address = |number: u16| {
            let [high, low] = number.to_be_bytes();
            SocketAddr::from(([127, 201, high, low], port.number()))
        };
        let addresses = (1..=count).map(address).collect();
        Self { addresses, _listener: listener, _port: port }
    }
}

#[test]
fn checks_of_targets_that_hang_take_no_descriptors_from_clients() {
    let hanging = Hanging::new(HANGING);
    let good = [(); 2].map(|()| Backend::named("good"));
    let targets = [&hanging.addresses[..], &addresses(&good)].concat();
    // Checks go to the targets' own ports, and as many as possible are under way at any time.
    let environment =
        [("HEALTH_CHECK_PORT", ""), ("HEALTH_CHECK_TIMEOUT", "500ms"), ("HEALTH_CHECK_FALL", "1")];
    let balancer = BINARY.spawn_with_descriptors(FEW_DESCRIPTORS, &targets, &environment);
    balancer.wait_until_ready();
    balancer.wait_for_log("client connections at a time, and 64 health checks");
    let line = balancer.log_lines("client connections at a time").remove(0);
    let room = line.split_whitespace().find_map(|word| word.parse::<usize>().ok()).unwrap();
    assert!(room < MANY_CLIENTS, "{line}");

    for target in &good {
        balancer.wait_for_state(target.address, "healthy");
    }
    wait_until("those that hang are found out", || {
        balancer.targets().iter().filter(|target| target["state"] == "unhealthy").count()
            == usize::from(HANGING)
    });
    let checks = usize::try_from(FEW_DESCRIPTORS).unwrap() / 8;
    assert_eq!(checks, CHECKS_MAX);
    // What it has beside them, without clients.
    assert!(descriptors(balancer.pid()) < checks + 60, "{}", descriptors(balancer.pid()));

    let mut clients: VecDeque<_> = (0..MANY_CLIENTS).map(|_| balancer.client()).collect();
    let is_full = |open: &u64| usize::try_from(*open).unwrap() + 60 >= room;
    wait_for("as many as there is room for", || balancer.count("active_connections"), is_full);
    for number in 0..MANY_CLIENTS {
        let mut client = clients.pop_front().unwrap();
        let answer = client.get("/").unwrap_or_else(|error| panic!("{number}: {error}"));
        assert_eq!((answer.status, &*answer.body), (200, "good"));
        if number % 10 == 0 {
            let asked = Instant::now();
            assert_eq!(balancer.readiness(), Some(200));
            assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        }
    }
    balancer.wait_for_count("active_connections", 0);
    assert_eq!(balancer.count("failed_connections_total"), 0);
    assert_eq!(balancer.log_lines("cannot be made").len(), 0);
    balancer.wait_for_log("health checks are late");
    for target in &good {
        assert_eq!(balancer.target(target.address)["checks"], "passing");
    }
}
