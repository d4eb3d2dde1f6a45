//! A process that stands still for longer than its timeouts: stopped, or suspended with its machine.

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::BINARY;
use testkit::backend::RawTarget;
use testkit::balancer::Balancer;
use testkit::wait::wait_until;

/// How long it stands still: longer than each timeout below.
const STOP: Duration = Duration::from_millis(1500);

/// Whether the process has stopped: `proc_pid_stat(5)`.
fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

/// Does `meanwhile` while the balancer is stopped, for [`STOP`] in all.
fn while_stopped(balancer: &Balancer, meanwhile: impl FnOnce()) {
    balancer.signal(Signal::STOP);
    wait_until("it has stopped", || is_stopped(balancer.pid()));
    meanwhile();
    thread::sleep(STOP);
    balancer.signal(Signal::CONT);
}

#[test]
fn what_has_come_meanwhile_is_no_idleness() {
    let target = RawTarget::start();
    let environment =
        [("IDLE_TIMEOUT", "600ms"), ("POOL_SIZE", "0"), ("UNHEALTHY_CONNECTIONS", "keep")];
    let balancer = BINARY.start(&[target.address], &environment);
    let mut pairs: Vec<_> = (0..100).map(|_| (balancer.connect(), target.accept())).collect();
    while_stopped(&balancer, || {
        for (client, server) in &mut pairs {
            client.write_all(b"up").unwrap();
            server.write_all(b"down").unwrap();
        }
    });
    for (client, server) in &mut pairs {
        let (mut up, mut down) = ([0; 2], [0; 4]);
        server.read_exact(&mut up).unwrap();
        client.read_exact(&mut down).unwrap();
        assert_eq!((&up, &down), (b"up", b"down"));
    }
    assert_eq!(balancer.count("idle_timeouts_total"), 0);
}

#[test]
fn a_target_that_was_reached_meanwhile_was_not_too_late() {
    let mut target = RawTarget::blackhole();
    let environment = [("POOL_TIMEOUT", "1300ms"), ("POOL_SIZE", "0"), ("CONNECT_ATTEMPTS", "1")];
    let balancer = BINARY.start(&[target.address], &environment);
    let mut client = balancer.connect();
    client.write_all(b"hello").unwrap();
    balancer.wait_for_count("active_connections", 1);
    while_stopped(&balancer, || target.drain());
    let mut bytes = [0; 5];
    target.accept().read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
    assert_eq!(balancer.count("failed_connects_total"), 0);
}

#[test]
fn a_header_that_came_meanwhile_was_not_too_late() {
    /// Longer than a header may take.
    const REST: Duration = Duration::from_secs(2);
    let target = RawTarget::start();
    let environment =
        [("ACCEPT_PROXY_PROTOCOL", "true"), ("TRUSTED_PROXIES", "127.0.0.0/8"), ("POOL_SIZE", "0")];
    let balancer = BINARY.start(&[target.address], &environment);
    let mut clients: Vec<_> = (0..100).map(|_| balancer.connect()).collect();
    balancer.wait_for_count("active_connections", 100);
    while_stopped(&balancer, || {
        for client in &mut clients {
            client.write_all(b"PROXY UNKNOWN\r\nhello").unwrap();
        }
        thread::sleep(REST);
    });
    for _ in &clients {
        let mut bytes = [0; 5];
        target.accept().read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"hello");
    }
    assert_eq!(balancer.count("rejected_connections_total{reason=\"proxy_header_late\"}"), 0);
}
