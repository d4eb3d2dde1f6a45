use std::env;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use super::{far_address, namespaces};
use crate::BINARY;
use testkit::backend::{HealthServer, Server};
use testkit::balancer::Balancer;
use testkit::http::{Client, Message};

/// Clients of the test, for a longer run than the ordinary one.
const CLIENTS: &str = "POOL_TEST_CLIENTS";
const ROUND: usize = 100;
const AT_ONCE: usize = 4;
/// A server is done with a connection on which nothing came for so long...
const PATIENCE: Duration = Duration::from_secs(1);
/// ...and takes so long to end it. What comes in the meantime is lost.
const SLOWNESS: Duration = Duration::from_millis(20);
const LONG_PAUSES: usize = 100;

#[test]
fn no_first_request_fails_where_targets_end_what_is_idle_for_a_second() {
    let Some(namespaces) = namespaces() else { return };
    let clients: usize = env::var(CLIENTS).map_or(3000, |text| text.parse().unwrap());
    let (_server, _health) = namespaces.far(|| {
        let server = Server::start(far_address(), serve_impatiently);
        (server, HealthServer::start_for(far_address()))
    });
    namespaces.near(|| {
        let balancer = BINARY.start(&[far_address()], &[]);
        let failures = Mutex::default();
        let rounds = clients / ROUND;
        for round in 0..rounds {
            thread::scope(|scope| {
                for _ in 0..AT_ONCE {
                    scope.spawn(|| (0..ROUND / AT_ONCE).for_each(|_| ask(&balancer, &failures)));
                }
            });
            if round % (rounds / LONG_PAUSES).max(3) == 0 {
                // What is left was connected a moment ago: it is about to be ended when this is over.
                thread::sleep(Duration::from_millis(fastrand::u64(980..=1010)));
            }
        }
        let [hits, misses] =
            ["hits", "misses"].map(|it| balancer.count(&format!("pool_{it}_total")));
        let told = format!("{hits} hits, {misses} misses");
        let failures: Vec<String> = failures.into_inner().unwrap();
        assert!(failures.is_empty(), "{told}: {failures:#?}");
        assert_eq!(hits + misses, (rounds * ROUND) as u64);
        assert!(hits > misses, "{told}");
        assert_eq!(balancer.count("failed_connections_total"), 0);
        println!("{} clients: {told}", rounds * ROUND);
    });
}

/// One request on a connection of its own; what was wrong with the answer goes to `failures`.
fn ask(balancer: &Balancer, failures: &Mutex<Vec<String>>) {
    let started = Instant::now();
    let mut sent = None;
    let answer = Client::connect(balancer.address).and_then(|mut client| {
        client.send("/")?;
        sent = Some(started.elapsed());
        client.receive()
    });
    if !answer.as_ref().is_ok_and(|answer| answer.status == 200) {
        let failure =
            format!("{answer:?}, sent after {sent:?}, ended after {:?}", started.elapsed());
        failures.lock().unwrap().push(failure);
    }
}

fn serve_impatiently(stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    loop {
        match Message::read(stream) {
            Ok(Some(_)) if Message::answer(200, "x").write(stream).is_ok() => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return thread::sleep(SLOWNESS);
            }
            _ => return,
        }
    }
}
