use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::BINARY;
use testkit::backend::{Backend, slow_body};
use testkit::balancer::Balancer;
use testkit::http::Client;
use testkit::wait::{wait_for, wait_until};

/// A client that has been served and stays.
fn idle_client(balancer: &Balancer) -> Client {
    let mut client = balancer.client();
    client.get("/").unwrap();
    client
}

#[test]
fn no_request_in_flight_is_cut() {
    let backends = [Backend::start(), Backend::start()];
    let addresses = [backends[0].address, backends[1].address];
    let mut balancer = BINARY.start(&addresses, &[]);
    let address = balancer.address;
    let (served, closed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let ended = thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while let Ok(mut client) = Client::connect(address) {
                    let answer = client.get("/slow").expect("in flight, not to be cut");
                    assert!(answer.body == slow_body());
                    served.fetch_add(1, Ordering::SeqCst);
                }
                closed.store(true, Ordering::SeqCst);
            });
        }
        wait_until("clients are served", || served.load(Ordering::SeqCst) >= 20);
        balancer.signal(Signal::TERM);
        balancer.wait_for_end()
    });
    assert!(closed.into_inner());
    assert_eq!(ended.0, Some(0));
    // The timeout is 30 s: it was not waited for.
    assert!(ended.1 < Duration::from_secs(10), "{:?}", ended.1);
}

#[test]
fn idle_clients_are_reset_when_the_time_is_over() {
    let backend = Backend::start();
    let mut balancer = BINARY.start(&[backend.address], &[("SHUTDOWN_TIMEOUT", "1s")]);
    let clients = [(); 5].map(|()| idle_client(&balancer));
    balancer.signal(Signal::TERM);
    let (status, took) = balancer.wait_for_end();
    assert_eq!(status, Some(0));
    assert!(took >= Duration::from_millis(950) && took < Duration::from_secs(3), "{took:?}");
    assert_eq!(balancer.log_lines("ended: 5 connections were still open").len(), 1);
    for mut client in clients {
        let error = client.0.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn it_ends_as_soon_as_the_last_client_does() {
    let backend = Backend::start();
    let mut balancer = BINARY.start(&[backend.address], &[]);
    let mut client = idle_client(&balancer);
    balancer.signal(Signal::TERM);
    wait_until("clients are refused", || Client::connect(balancer.address).is_err());
    client.get("/").unwrap();
    drop(client);
    let (status, took) = balancer.wait_for_end();
    assert_eq!(status, Some(0));
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn without_clients_it_ends_at_once() {
    let backend = Backend::start();
    for signal in [Signal::TERM, Signal::INT] {
        let mut balancer = BINARY.start(&[backend.address], &[]);
        balancer.signal(signal);
        let (status, took) = balancer.wait_for_end();
        assert_eq!(status, Some(0));
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
}

#[test]
fn clients_in_the_listen_queue_are_served() {
    let backend = Backend::start();
    let mut balancer = BINARY.start(&[backend.address], &[]);
    balancer.get("/");
    // While it stands still, the kernel queues who comes.
    balancer.signal(Signal::STOP);
    let mut clients = [(); 50].map(|()| balancer.client());
    for client in &mut clients {
        client.send("/").unwrap();
    }
    balancer.signal(Signal::TERM);
    balancer.signal(Signal::CONT);
    for client in &mut clients {
        assert_eq!(client.receive().unwrap().body, backend.address.to_string());
    }
    drop(clients);
    assert_eq!(balancer.wait_for_end().0, Some(0));
}

#[test]
fn during_the_delay_it_is_not_ready_but_serves() {
    let backend = Backend::start();
    let mut balancer = BINARY.start(&[backend.address], &[("SHUTDOWN_DELAY", "1500ms")]);
    balancer.signal(Signal::TERM);
    wait_for("readiness to end", || balancer.readiness(), |status| *status == Some(503));
    for _ in 0..5 {
        assert_eq!(balancer.get("/"), backend.address.to_string());
    }
    assert_eq!(balancer.readiness(), Some(503));
    let (status, _) = balancer.wait_for_end();
    assert_eq!(status, Some(0));
    assert!(Client::connect(balancer.address).is_err());
}

#[test]
fn a_burst_of_signals_is_one() {
    let backend = Backend::start();
    let mut balancer = BINARY.start(&[backend.address], &[]);
    let mut client = idle_client(&balancer);
    for _ in 0..200 {
        balancer.signal(Signal::TERM);
    }
    wait_until("clients are refused", || Client::connect(balancer.address).is_err());
    client.get("/").unwrap();
    drop(client);
    assert_eq!(balancer.wait_for_end().0, Some(0));
    assert_eq!(balancer.log_lines("graceful end begins").len(), 1);
}

#[test]
fn a_storm_of_signals_ends_it_whenever_it_comes() {
    let backend = Backend::start();
    // Before it knows of signals, while it starts, and when it serves.
    for wait in [0, 2, 5, 10, 20, 40, 80, 500].map(Duration::from_millis) {
        let mut balancer = BINARY.spawn(&[backend.address], &[("SHUTDOWN_DELAY", "60s")]);
        thread::sleep(wait);
        let client = Client::connect(balancer.address);
        let began = Instant::now();
        while !balancer.process.has_ended() {
            balancer.signal(Signal::TERM);
        }
        let took = began.elapsed();
        assert!(took < Duration::from_secs(2), "after {wait:?}: {took:?}");
        let (code, _) = balancer.wait_for_end();
        // None: by the signal itself.
        assert!([None, Some(143)].contains(&code), "after {wait:?}: {code:?}");
        assert_eq!(balancer.log_lines("panicked").len(), 0);
        drop(client);
    }
}
