//! Every core has its share of the clients.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::process::Signal;

use crate::BINARY;
use testkit::backend::{Backend, addresses};
use testkit::balancer::Balancer;
use testkit::http::Client;
use testkit::skip::skip;
use testkit::wait::wait_for;

const CLIENTS: u64 = 64;

/// A balancer on two cores; `None` where there is only one.
fn start(targets: &[Backend]) -> Option<Balancer> {
    if thread::available_parallelism().map_or(1, usize::from) < 2 {
        skip("there is only one CPU");
        return None;
    }
    let addresses = addresses(targets);
    Some(BINARY.start(&addresses, &[("CORES", "2")]))
}

/// How many connections each core has, once there are [`CLIENTS`].
fn shares(balancer: &Balancer) -> [u64; 2] {
    let shares =
        || [0, 1].map(|core| balancer.count(&format!("core_connections{{core=\"{core}\"}}")));
    wait_for("all clients", shares, |shares| shares.iter().sum::<u64>() == CLIENTS)
}

fn assert_even(shares: [u64; 2]) {
    // 5 % above the mean.
    let max = shares.into_iter().max().unwrap();
    assert!(max * 200 <= CLIENTS * 105, "{shares:?}");
}

#[test]
fn cores_have_alike_of_clients_that_stay() {
    let backends = [Backend::start()];
    let Some(balancer) = start(&backends) else { return };
    for _ in 0..5 {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let mut client = balancer.client();
                client.get("/").unwrap();
                client
            })
            .collect();
        assert_even(shares(&balancer));
        drop(clients);
        balancer.wait_for_count("active_connections", 0);
    }
    assert!(balancer.count("moved_connections_total") > 0);
    assert_eq!(balancer.count("failed_connections_total"), 0);
}

#[test]
fn cores_have_alike_of_clients_that_come_at_once() {
    let backends = [Backend::start()];
    let Some(balancer) = start(&backends) else { return };
    for _ in 0..5 {
        // Both find theirs when they wake up.
        balancer.signal(Signal::STOP);
        let mut clients: Vec<Client> = (0..CLIENTS).map(|_| balancer.client()).collect();
        balancer.signal(Signal::CONT);
        for client in &mut clients {
            client.get("/").unwrap();
        }
        let shares = shares(&balancer);
        // One may have had a look at the other a moment before that took more.
        assert!(shares.into_iter().max().unwrap() <= CLIENTS * 5 / 8, "{shares:?}");
        drop(clients);
        balancer.wait_for_count("active_connections", 0);
    }
}

#[test]
fn none_is_lost_on_the_way() {
    const CONNECTIONS: usize = 10_000;
    let backends = [Backend::start(), Backend::start()];
    let Some(balancer) = start(&backends) else { return };
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::Relaxed) < CONNECTIONS {
                    balancer.get("/");
                }
            });
        }
    });
    balancer.wait_for_count("active_connections", 0);
    assert_eq!(balancer.count("failed_connections_total"), 0);
    assert_eq!(balancer.count("successful_connections_total"), CONNECTIONS as u64);
}
