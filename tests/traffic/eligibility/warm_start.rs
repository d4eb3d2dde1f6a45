//! Clients are let in when it is known who can serve them, and all targets at once.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use exchange::{Affinity, ClientKey, Target};

use crate::BINARY;
use crate::eligibility::target_file::{start_with, write};
use testkit::backend::{Backend, addresses};
use testkit::balancer::Balancer;
use testkit::http::Client;
use testkit::net::stream;
use testkit::scratch::Scratch;
use testkit::wait::{wait_for, wait_until};

/// No check ends by itself: a backend says when it is well.
const PATIENT: (&str, &str) = ("HEALTH_CHECK_TIMEOUT", "1m");

/// Backends whose checks hang.
fn hanging(count: usize) -> Vec<Backend> {
    let backends: Vec<_> = std::iter::repeat_with(Backend::start).take(count).collect();
    for backend in &backends {
        backend.set_health(0);
    }
    backends
}

/// Each in its turn passes its checks.
fn recover(balancer: &Balancer, backends: &[Backend]) {
    for backend in backends {
        backend.set_health(200);
        balancer.wait_for_state(backend.address, "healthy");
    }
}

/// Starts one that clients can connect to, but whose targets hang.
fn start_waiting(backends: &[Backend], environment: &[(&str, &str)]) -> Balancer {
    let balancer = BINARY.spawn(&addresses(backends), &[environment, &[PATIENT]].concat());
    wait_for("the admin server", || balancer.readiness(), |status| *status == Some(503));
    balancer
}

fn served_by(client: &mut Client) -> SocketAddr {
    let answer = client.get("/").unwrap();
    assert_eq!(answer.status, 200);
    answer.body.parse().unwrap()
}

/// How many of the clients each backend serves.
fn shares(clients: &mut [Client], backends: &[Backend]) -> Vec<usize> {
    let mut shares: HashMap<SocketAddr, usize> = HashMap::new();
    for client in clients {
        *shares.entry(served_by(client)).or_default() += 1;
    }
    backends.iter().map(|it| shares.get(&it.address).copied().unwrap_or_default()).collect()
}

#[test]
fn the_first_clients_are_spread_over_all_targets() {
    for (balance, range) in
        [("p2c", 80..=120), ("round_robin", 96..=104), ("least_connections", 90..=110)]
    {
        let backends = hanging(4);
        let balancer = start_waiting(&backends, &[("BALANCE", balance), ("POOL_SIZE", "0")]);
        let mut clients: Vec<_> = (0..400).map(|_| balancer.client()).collect();
        recover(&balancer, &backends[..1]);
        assert_eq!(balancer.readiness(), Some(503));
        recover(&balancer, &backends[1..]);
        let shares = shares(&mut clients, &backends);
        println!("{balance}: {shares:?}");
        assert!(shares.iter().all(|share| range.contains(share)), "{balance}: {shares:?}");
        balancer.wait_for_log("clients are let in: 4 of 4 targets may get them");
    }
}

#[test]
fn a_start_leads_no_client_to_another_target() {
    let backends = hanging(5);
    let balancer = start_waiting(&backends, &[("BALANCE", "maglev")]);
    let target = |backend: &Backend| Arc::new(Target::at(backend.address));
    let affinity = Affinity::of(backends.iter().map(target).collect());
    let sources = (0..200).map(|number| IpAddr::from(Ipv4Addr::new(127, 98, number, 1)));
    let clients: Vec<_> = sources
        .map(|source| {
            let client = stream::connect_from((source, 0).into(), balancer.address).unwrap();
            (source, Client(client))
        })
        .collect();
    recover(&balancer, &backends);
    for (source, mut client) in clients {
        let number = affinity.choose(ClientKey::of(source)).unwrap();
        assert_eq!(served_by(&mut client), affinity.targets()[number].address, "{source}");
    }
}

#[test]
fn when_all_targets_are_replaced_clients_wait_for_the_new_ones() {
    let (old, new) = ([Backend::start(), Backend::start()], hanging(3));
    let scratch = Scratch::new();
    write(&scratch, &addresses(&old));
    let balancer = start_with(&scratch, &[("POOL_SIZE", "0"), PATIENT]);
    let mut stays = balancer.client();
    let server = served_by(&mut stays);
    write(&scratch, &addresses(&new));
    balancer.wait_for_log("clients wait: none of the targets that they got is left");
    let accepted = || old.iter().map(Backend::accepted).sum::<usize>();
    let before = accepted();
    let mut clients: Vec<_> = (0..90).map(|_| balancer.client()).collect();
    recover(&balancer, &new[..1]);
    assert_eq!(balancer.readiness(), Some(503));
    assert_eq!(served_by(&mut stays), server, "what lives goes on");
    recover(&balancer, &new[1..]);
    let shares = shares(&mut clients, &new);
    assert!(shares.iter().all(|share| (20..=40).contains(share)), "{shares:?}");
    assert_eq!(accepted(), before, "a withdrawn target got a client");
    assert_eq!(balancer.readiness(), Some(200));
    assert_eq!(balancer.count("failed_connections_total"), 0);
}

#[test]
fn who_comes_late_at_the_start_has_joined_and_gets_its_share() {
    let backends = hanging(4);
    let environment = [("REBALANCE_RATE", "1000"), ("POOL_SIZE", "0")];
    let balancer = start_waiting(&backends, &environment);
    let mut clients: Vec<_> = (0..40).map(|_| balancer.client()).collect();
    recover(&balancer, &backends[..1]);
    // The others are waited for no longer than this takes.
    assert_eq!(shares(&mut clients, &backends), [40, 0, 0, 0]);
    recover(&balancer, &backends[1..]);
    balancer.wait_for_log("rebalancing begins");
    // A quarter of them, and the tolerance.
    wait_until("the others have left", || backends[0].live() == 11);
    assert_eq!(balancer.count("rebalanced_connections_total"), 29);
}
