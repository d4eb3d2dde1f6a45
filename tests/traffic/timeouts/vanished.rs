//! Peers that are gone without having said so, and peers that only seem to be.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::BINARY;
use testkit::backend::{Backend, HealthServer, RawTarget};
use testkit::balancer::Balancer;
use testkit::http::Client;
use testkit::net::address::ports;
use testkit::net::namespace::{Namespaces, at_each_mtu};
use testkit::wait::wait_until;

/// A balancer that its peers can vanish from.
fn start(target: SocketAddr, environment: &[(&str, &str)]) -> Balancer {
    let environment = [&[("LOG_CONNECTIONS", "true")], environment].concat();
    BINARY.start_on(Namespaces::NEAR, &[target], &environment)
}

const KEEPALIVE: [(&str, &str); 2] = [("IDLE_TIMEOUT", "0"), ("TCP_KEEPALIVE", "1s")];

#[test]
fn a_silent_client_that_vanished_is_noticed_by_keepalive() {
    at_each_mtu(|namespaces| {
        namespaces.near(|| {
            let target = Backend::start();
            let balancer = start(target.address, &KEEPALIVE);
            let connect = || Client::connect(balancer.address).unwrap();
            let (mut gone, mut alive) = (namespaces.far(connect), connect());
            gone.get("/").unwrap();
            alive.get("/").unwrap();
            namespaces.silence_far();
            let silent = Instant::now();
            balancer.wait_for_log("end=client_reset");
            println!("client, silent: {:?}", silent.elapsed());
            // As silent, but its system answers.
            balancer.wait_for_count("active_connections", 1);
            alive.get("/").unwrap();
        });
    });
}

#[test]
fn a_silent_target_that_vanished_is_noticed_by_keepalive() {
    at_each_mtu(|namespaces| {
        namespaces.near(|| {
            let address = SocketAddr::new(Namespaces::FAR, ports().target);
            let target = namespaces.far(|| Backend::start_on(address));
            let balancer = start(target.address, &KEEPALIVE);
            let mut client = balancer.client();
            client.get("/").unwrap();
            namespaces.silence_far();
            let silent = Instant::now();
            let error = client.0.read(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            println!("target, silent: {:?}", silent.elapsed());
            balancer.wait_for_log("end=target_reset");
        });
    });
}

/// Sends a byte from `near` now and then while the far end of its connection vanishes, until `near` is
/// told; how long that took.
fn send_until_told(namespaces: &Namespaces, near: &mut TcpStream) -> Duration {
    let mut send = || {
        thread::sleep(Duration::from_millis(50));
        near.write_all(b"x")
    };
    // Long enough for the connection to have been looked at.
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(1) {
        send().unwrap();
    }
    namespaces.silence_far();
    let silent = Instant::now();
    wait_until("the other side is told", || send().is_err());
    silent.elapsed()
}

/// It ends after its timeout, or soon after: two visits of the walk, a byte's way, a busy machine.
fn assert_soon_after(timeout: Duration, took: Duration) {
    assert!(took > timeout && took < timeout + Duration::from_secs(2), "{took:?}");
}

const SENT_TO: [(&str, &str); 2] = [("IDLE_TIMEOUT", "2s"), ("POOL_SIZE", "0")];
const SENT_TO_TIMEOUT: Duration = Duration::from_secs(2);

#[test]
fn a_client_that_vanished_while_it_is_being_sent_to_is_given_up() {
    at_each_mtu(|namespaces| {
        namespaces.near(|| {
            let target = RawTarget::start();
            let balancer = start(target.address, &SENT_TO);
            let mut client = namespaces.far(|| TcpStream::connect(balancer.address).unwrap());
            let mut server = target.accept();
            server.write_all(b"x").unwrap();
            client.read_exact(&mut [0]).unwrap();
            let took = send_until_told(namespaces, &mut server);
            println!("client, being sent to: {took:?}");
            assert_soon_after(SENT_TO_TIMEOUT, took);
            balancer.wait_for_log("end=client_timeout");
            assert_eq!(balancer.count("idle_timeouts_total"), 1);
        });
    });
}

#[test]
fn a_target_that_vanished_while_it_is_being_sent_to_is_given_up() {
    at_each_mtu(|namespaces| {
        namespaces.near(|| {
            let address = SocketAddr::new(Namespaces::FAR, ports().target);
            let (listener, _health) = namespaces
                .far(|| (TcpListener::bind(address).unwrap(), HealthServer::start_for(address)));
            let balancer = start(address, &SENT_TO);
            let mut client = balancer.connect();
            client.write_all(b"x").unwrap();
            let (mut server, _) = listener.accept().unwrap();
            server.read_exact(&mut [0]).unwrap();
            let took = send_until_told(namespaces, &mut client);
            println!("target, being sent to: {took:?}");
            assert_soon_after(SENT_TO_TIMEOUT, took);
            balancer.wait_for_log("end=target_timeout");
            assert_eq!(balancer.count("idle_timeouts_total"), 1);
        });
    });
}

#[test]
fn a_reader_that_pauses_for_longer_than_keepalive_waits_is_not_cut() {
    let target = RawTarget::start();
    let environment = [("TCP_KEEPALIVE", "1s"), ("IDLE_TIMEOUT", "30s")];
    let balancer = BINARY.start(&[target.address], &environment);
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
