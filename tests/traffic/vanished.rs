//! Peers that are gone without having said so, and peers that only seem to be.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::address::ports;
use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::http::Client;
use crate::harness::namespace::Namespaces;
use crate::harness::raw_target::RawTarget;
use crate::harness::{skip, wait_until};

/// A balancer that its peers can vanish from.
fn start(target: SocketAddr, environment: &[(&str, &str)]) -> Balancer {
    let environment = [&[("LOG_CONNECTIONS", "true")], environment].concat();
    Balancer::start_on(Namespaces::NEAR, &[target], &environment)
}

fn namespaces() -> Option<Namespaces> {
    Namespaces::new().map_err(|reason| skip(&format!("no network namespaces: {reason}"))).ok()
}

const KEEPALIVE: [(&str, &str); 2] = [("IDLE_TIMEOUT", "0"), ("TCP_KEEPALIVE", "1s")];

#[test]
fn a_silent_client_that_vanished_is_noticed_by_keepalive() {
    let Some(namespaces) = namespaces() else { return };
    namespaces.near(|| {
        let target = Backend::start();
        let balancer = start(target.address, &KEEPALIVE);
        let connect = || Client::connect(balancer.address).unwrap();
        let (mut gone, mut alive) = (namespaces.far(connect), connect());
        gone.get("/").unwrap();
        alive.get("/").unwrap();
        namespaces.silence_far();
        balancer.wait_for_log("end=client_reset");
        // As silent, but its system answers.
        balancer.wait_for_count("active_connections", 1);
        alive.get("/").unwrap();
    });
}

#[test]
fn a_silent_target_that_vanished_is_noticed_by_keepalive() {
    let Some(namespaces) = namespaces() else { return };
    namespaces.near(|| {
        let address = SocketAddr::new(Namespaces::FAR, ports().target);
        let target = namespaces.far(|| Backend::start_on(address));
        let balancer = start(target.address, &KEEPALIVE);
        let mut client = balancer.client();
        client.get("/").unwrap();
        namespaces.silence_far();
        let error = client.0.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        balancer.wait_for_log("end=target_reset");
    });
}

#[test]
fn a_peer_that_vanished_while_it_is_being_sent_to_is_given_up() {
    let Some(namespaces) = namespaces() else { return };
    namespaces.near(|| {
        let target = RawTarget::start();
        // There are always new bytes from the target.
        let balancer = start(target.address, &[("IDLE_TIMEOUT", "2s")]);
        let mut client = namespaces.far(|| TcpStream::connect(balancer.address).unwrap());
        let mut server = target.accept();
        server.write_all(b"x").unwrap();
        client.read_exact(&mut [0]).unwrap();
        // Long enough for the connection to have been looked at.
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(1) {
            server.write_all(b"x").unwrap();
            thread::sleep(Duration::from_millis(50));
        }
        namespaces.silence_far();
        let silent = Instant::now();
        wait_until("the target is told", || {
            thread::sleep(Duration::from_millis(50));
            server.write_all(b"x").is_err()
        });
        assert!(silent.elapsed() > Duration::from_secs(2), "{:?}", silent.elapsed());
        balancer.wait_for_log("end=client_timeout");
        assert_eq!(balancer.count("idle_timeouts_total"), 1);
    });
}

#[test]
fn a_reader_that_pauses_for_longer_than_keepalive_waits_is_not_cut() {
    let target = RawTarget::start();
    let environment = [("TCP_KEEPALIVE", "1s"), ("IDLE_TIMEOUT", "30s")];
    let balancer = Balancer::start(&[target.address], &environment);
    let mut client = balancer.connect();
    let mut server = target.accept();
    let paused = AtomicBool::new(true);
    let sent = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut sent = 0;
            while paused.load(Ordering::Relaxed) && sent < 64 << 20 {
                sent += server.write(&[7; 16 * 1024]).unwrap();
            }
            drop(server);
            sent
        });
        // Twice the 5 s after which one that does not answer is given up.
        thread::sleep(Duration::from_secs(10));
        paused.store(false, Ordering::Relaxed);
        let mut received = 0;
        let mut piece = vec![0; 256 * 1024];
        loop {
            match client.read(&mut piece).unwrap() {
                0 => break,
                count => received += count,
            }
        }
        assert_eq!(received, sender.join().unwrap());
        received
    });
    assert!(sent > 1 << 20, "{sent} bytes fill no buffers");
}
