use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::BINARY;
use testkit::backend::{Backend, HealthServer, RawTarget};
use testkit::balancer::Balancer;
use testkit::net::address::{ports, unique};
use testkit::net::stream::connect;
use testkit::wait::wait_until;

/// A target whose health checks pass although it refuses every connection.
fn refusing() -> (SocketAddr, HealthServer) {
    let address = SocketAddr::new(unique(), ports().target);
    (address, HealthServer::start_for(address))
}

/// Waits until every target gets traffic: a failed attempt has nowhere to go before. No breaker is
/// to open: it would spare the attempts that are counted here.
fn start(targets: &[SocketAddr], environment: &[(&str, &str)]) -> Balancer {
    let patient = [("BALANCE", "round_robin"), ("CIRCUIT_BREAKER_THRESHOLD", "1000")];
    let environment = [environment, &patient].concat();
    let balancer = BINARY.start(targets, &environment);
    for &target in targets {
        balancer.wait_for_state(target, "healthy");
    }
    balancer
}

#[test]
fn a_refused_client_gets_another_target() {
    let backend = Backend::start();
    let (refusing, _health) = refusing();
    let balancer = start(&[refusing, backend.address], &[]);
    for _ in 0..100 {
        assert_eq!(balancer.get("/"), backend.address.to_string());
    }
    assert_eq!(balancer.count("failed_connections_total"), 0);
    assert_eq!(balancer.count("successful_connections_total"), 100);
    let failed = balancer.count("failed_connects_total");
    assert!(failed >= 40);
    let of = |name: &str, node: SocketAddr| balancer.count(&format!("{name}{{node=\"{node}\"}}"));
    assert_eq!(of("node_connections_total", backend.address), 100);
    assert_eq!(of("node_failed_connects_total", backend.address), 0);
    assert_eq!(of("node_connections_total", refusing), 0);
    assert_eq!(of("node_failed_connects_total", refusing), failed);
}

#[test]
fn each_targets_connections_are_shown() {
    let backends = [Backend::start(), Backend::start()];
    let balancer = start(&backends.each_ref().map(|it| it.address), &[("POOL_SIZE", "0")]);
    let clients: Vec<_> = (0..6).map(|_| balancer.connect()).collect();
    let active = |backend: &Backend| {
        let name = format!("node_active_connections{{node=\"{}\"}}", backend.address);
        balancer.count(&name)
    };
    let sum = || backends.iter().map(active).sum::<u64>();
    wait_until("all are shown", || sum() == 6);
    assert!(backends.iter().all(|backend| active(backend) > 0));
    drop(clients);
    wait_until("none is shown", || sum() == 0);
}

/// A client is reset, before or after its connect(2) returns.
fn assert_reset(balancer: &Balancer) {
    let read = connect(balancer.address).and_then(|mut client| client.read(&mut [0]));
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_client_that_every_target_refuses_is_reset() {
    let (one, two) = (refusing(), refusing());
    let balancer = start(&[one.0, two.0], &[]);
    assert_reset(&balancer);
    balancer.wait_for_count("failed_connections_total", 1);
    assert_eq!(balancer.count("failed_connects_total"), 2);
    assert_eq!(balancer.count("successful_connections_total"), 0);
    balancer.wait_for_count("active_connections", 0);
}

#[test]
fn no_more_targets_are_tried_than_allowed() {
    let targets = [refusing(), refusing(), refusing()];
    let addresses = [0, 1, 2].map(|index: usize| targets[index].0);
    let balancer = start(&addresses, &[("CONNECT_ATTEMPTS", "2")]);
    assert_reset(&balancer);
    balancer.wait_for_count("failed_connections_total", 1);
    assert_eq!(balancer.count("failed_connects_total"), 2);
}

#[test]
fn targets_that_refuse_everybody_are_not_hit_by_each_client_twice() {
    const CLIENTS: u64 = 300;
    let (one, two) = (refusing(), refusing());
    let balancer = start(&[one.0, two.0], &[("CORES", "1")]);
    for _ in 0..CLIENTS {
        assert_reset(&balancer);
    }
    balancer.wait_for_count("failed_connections_total", CLIENTS);
    let given_up = balancer.count("retry_budget_exhausted_total");
    // The reserve is worth 100 retries, and that again each ten seconds; the clients pay for 60.
    assert!(given_up > 0);
    assert_eq!(balancer.count("failed_connects_total"), 2 * CLIENTS - given_up);
}

#[test]
fn a_connect_that_takes_too_long_goes_to_another_target() {
    const POOL_TIMEOUT: Duration = Duration::from_millis(300);
    let backend = Backend::start();
    let blackhole = RawTarget::blackhole();
    let targets = [blackhole.address, backend.address];
    let balancer = start(&targets, &[("POOL_TIMEOUT", "300ms"), ("CORES", "1")]);
    let mut delayed = 0;
    for _ in 0..6 {
        let started = Instant::now();
        assert_eq!(balancer.get("/"), backend.address.to_string());
        let took = started.elapsed();
        assert!(took < POOL_TIMEOUT + Duration::from_millis(700), "{took:?}");
        delayed += u64::from(took >= POOL_TIMEOUT);
    }
    assert_eq!(delayed, 3);
    assert_eq!(balancer.count("failed_connects_total"), 3);
    assert_eq!(balancer.count("failed_connections_total"), 0);
}
