//! A target that passes its health checks and ends every connection at once, without a byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::BINARY;
use testkit::backend::{HealthServer, Server};
use testkit::balancer::Balancer;
use testkit::net::address::{ports, unique};
use testkit::wait::wait_until;

/// What it may get of the clients, as a multiple of an equal share.
const SHARE_MAX: f64 = 1.3;

/// A target that answers a byte with a byte until its client leaves, or fails fast.
struct Target {
    address: SocketAddr,
    server: Server,
    _health: HealthServer,
}

impl Target {
    fn start(fails: bool) -> Self {
        let address = SocketAddr::new(unique(), ports().target);
        let server = Server::start(address, move |mut stream: &TcpStream| {
            let mut byte = [0];
            while !fails && stream.read(&mut byte).is_ok_and(|count| count > 0) {
                if stream.write_all(&byte).is_err() {
                    return;
                }
            }
        });
        Self { address, server, _health: HealthServer::start_for(address) }
    }
}

/// One of four targets fails.
struct Stage {
    targets: [Target; 4],
    balancer: Balancer,
}

impl Stage {
    fn new(balance: &str) -> Self {
        let targets = [true, false, false, false].map(Target::start);
        let addresses = targets.each_ref().map(|target| target.address);
        let balancer = BINARY.start(&addresses, &[("BALANCE", balance)]);
        for address in addresses {
            balancer.wait_for_state(address, "healthy");
        }
        Self { targets, balancer }
    }

    /// A client that was answered, or none if it was not.
    fn connect(&self) -> Option<TcpStream> {
        let mut client = self.balancer.connect();
        // Fails where the target was faster.
        let is_answered = client.write_all(b"x").is_ok() && client.read_exact(&mut [0]).is_ok();
        is_answered.then_some(client)
    }

    fn accepted(&self) -> [usize; 4] {
        self.targets.each_ref().map(|target| target.server.accepted())
    }

    /// The failing target's part of the clients since `before`, as a multiple of an equal share.
    fn share(&self, before: [usize; 4]) -> f64 {
        let count = |count: usize| f64::from(u32::try_from(count).unwrap());
        let counts: Vec<_> =
            self.accepted().iter().zip(before).map(|(now, before)| count(now - before)).collect();
        println!("{counts:?}");
        counts[0] * 4.0 / counts.iter().sum::<f64>()
    }

    /// The share while so many clients come again and again, who stay so long if they are answered.
    fn share_of(&self, clients: usize, stay: Duration) -> f64 {
        let is_over = AtomicBool::new(false);
        let visit = || {
            while !is_over.load(Ordering::Relaxed) {
                if let Some(client) = self.connect() {
                    thread::sleep(stay);
                    drop(client);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(visit);
            }
            let before = self.accepted();
            wait_until("clients come", || self.accepted().iter().sum::<usize>() >= 800);
            is_over.store(true, Ordering::Relaxed);
            self.share(before)
        })
    }
}

fn gets_no_more_than_its_share(balance: &str) {
    let stage = Stage::new(balance);
    // Those who stay for long: nobody leaves.
    let before = stage.accepted();
    let clients: Vec<_> = (0..600).map(|_| stage.connect()).collect();
    let share = stage.share(before);
    assert!(share <= SHARE_MAX, "{balance}: {share:.2}");
    let unanswered = clients.iter().filter(|client| client.is_none()).count();
    drop(clients);
    stage.balancer.wait_for_count("active_connections", 0);
    let node = stage.targets[0].address;
    let metric = format!("node_unanswered_connections_total{{node=\"{node}\"}}");
    assert_eq!(stage.balancer.count(&metric), u64::try_from(unanswered).unwrap());

    for (clients, stay) in [(24, Duration::from_millis(100)), (100, Duration::from_secs(1))] {
        let stage = Stage::new(balance);
        let share = stage.share_of(clients, stay);
        assert!(share <= SHARE_MAX, "{balance}, {stay:?}: {share:.2}");
    }
}

#[test]
fn with_p2c_it_gets_no_more_than_its_share() {
    gets_no_more_than_its_share("p2c");
}

#[test]
fn with_least_connections_it_gets_no_more_than_its_share() {
    gets_no_more_than_its_share("least_connections");
}
