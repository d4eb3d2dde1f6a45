//! On one core, whose choices are exact, unless said otherwise; several cores each choose like it.

use crate::BINARY;
use testkit::backend::{Backend, addresses};
use testkit::balancer::Balancer;
use testkit::http::Client;

struct Stage {
    balancer: Balancer,
    backends: Vec<Backend>,
}

impl Stage {
    fn new(balance: &str, backends: usize) -> Self {
        Self::on_cores("1", balance, backends)
    }

    fn on_cores(cores: &str, balance: &str, backends: usize) -> Self {
        let backends: Vec<_> = (0..backends).map(|_| Backend::start()).collect();
        let addresses = addresses(&backends);
        let environment = [("BALANCE", balance), ("CORES", cores)];
        let balancer = BINARY.start(&addresses, &environment);
        for &address in &addresses {
            balancer.wait_for_state(address, "healthy");
        }
        // A core takes up a snapshot just after the control plane shows it.
        let mut served = vec![];
        testkit::wait::wait_until("all are used", || {
            served.push(balancer.get("/"));
            addresses.iter().all(|address| served.contains(&address.to_string()))
        });
        balancer.wait_for_count("active_connections", 0);
        Self { balancer, backends }
    }

    /// Opens connections that stay.
    fn hold(&self, count: usize) -> Vec<(Client, String)> {
        let mut clients = Vec::new();
        for _ in 0..count {
            let mut client = self.balancer.client();
            let answer = client.get("/").unwrap();
            clients.push((client, answer.body));
        }
        clients
    }

    /// How many of the clients each backend serves.
    fn spread(&self, clients: &[(Client, String)]) -> Vec<usize> {
        let of = |backend: &Backend| {
            let address = backend.address.to_string();
            clients.iter().filter(|(_, served_by)| *served_by == address).count()
        };
        self.backends.iter().map(of).collect()
    }
}

#[test]
fn round_robin_takes_turns() {
    let stage = Stage::new("round_robin", 3);
    let clients = stage.hold(30);
    assert_eq!(stage.spread(&clients), [10, 10, 10]);
    for turns in clients.windows(4) {
        assert_eq!(turns[0].1, turns[3].1);
    }
}

#[test]
fn random_uses_all_alike() {
    let stage = Stage::new("random", 2);
    let spread = stage.spread(&stage.hold(200));
    // 8 standard deviations; a sequence that is as even as turns would be no chance at all.
    assert!(spread.iter().all(|&count| count > 40), "{spread:?}");
}

#[test]
fn least_connections_fills_up_the_emptiest() {
    fills_up_the_emptier("least_connections");
}

#[test]
fn least_connections_takes_turns_among_those_with_the_fewest() {
    // As many cores as there are by default.
    for cores in ["1", ""] {
        let stage = Stage::on_cores(cores, "least_connections", 2);
        for _ in 0..5 {
            let served = [(); 10].map(|()| {
                let by = stage.balancer.get("/");
                stage.balancer.wait_for_count("active_connections", 0);
                by
            });
            let first = served.iter().filter(|by| **by == served[0]).count();
            assert_eq!(first, 5, "CORES={cores}: {served:?}");
        }
    }
}

#[test]
fn p2c_prefers_the_less_loaded_of_two() {
    fills_up_the_emptier("p2c");
}

/// With two targets p2c compares all there are.
fn fills_up_the_emptier(balance: &str) {
    let stage = Stage::new(balance, 2);
    let mut clients = stage.hold(20);
    assert_eq!(stage.spread(&clients), [10, 10]);
    let emptied = stage.backends[1].address.to_string();
    clients.retain(|(_, served_by)| *served_by != emptied);
    stage.balancer.wait_for_count("active_connections", 10);
    let later = stage.hold(10);
    assert_eq!(stage.spread(&later), [0, 10]);
}
