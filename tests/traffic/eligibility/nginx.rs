use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::BINARY;
use crate::load::Load;
use testkit::backend::Nginx;
use testkit::balancer::Balancer;
use testkit::skip::skip;
use testkit::wait::wait_until;

const CLIENTS: usize = 64;
const REQUESTS: usize = 20_000;

#[test]
fn twenty_thousand_requests_then_a_kill_and_a_restart() {
    if let Err(reason) = Nginx::check() {
        return skip(&reason);
    }
    let mut servers = [Nginx::start(), Nginx::start()];
    let addresses = [servers[0].address, servers[1].address];
    // Empty counts as unset: checks go to the port that serves. Failed connects may take a target out
    // before failed checks do.
    let environment = [("HEALTH_CHECK_PORT", ""), ("CIRCUIT_BREAKER_TIMEOUT", "100ms")];
    let balancer = BINARY.start(&addresses, &environment);
    for address in addresses {
        balancer.wait_for_state(address, "healthy");
    }
    request_over_kept_connections(&balancer);
    let killed = &mut servers[0];
    Load::default().around(&balancer, 4, |load| {
        load.wait_for_served(100);
        load.kill(|| killed.kill());
        wait_until("taken out", || balancer.target(killed.address)["state"] != "healthy");
        load.wait_for_served(100);
        killed.run();
        balancer.wait_for_state(killed.address, "healthy");
        let again = killed.address.to_string();
        wait_until("traffic again", || balancer.get("/") == again);
    });
    assert_eq!(balancer.count("failed_connections_total"), 0);
}

fn request_over_kept_connections(balancer: &Balancer) {
    let served = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = balancer.client();
                while served.fetch_add(1, Ordering::Relaxed) < REQUESTS {
                    let answer = client.get("/").unwrap();
                    assert_eq!(answer.status, 200);
                    assert!(answer.body.starts_with("127."));
                }
            });
        }
    });
}
