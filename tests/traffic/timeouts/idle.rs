use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::BINARY;
use testkit::backend::RawTarget;
use testkit::balancer::Balancer;

const TIMEOUT: Duration = Duration::from_millis(800);
const PIECE_BYTES: usize = 16 * 1024;

/// A client and its target, on which a byte went each way.
fn connect(balancer: &Balancer, target: &RawTarget) -> (TcpStream, TcpStream) {
    let (mut client, mut server) = (balancer.connect(), target.accept());
    pass(&mut client, &mut server);
    pass(&mut server, &mut client);
    (client, server)
}

fn pass(from: &mut TcpStream, to: &mut TcpStream) {
    from.write_all(b"x").unwrap();
    to.read_exact(&mut [0]).unwrap();
}

fn assert_reset(mut stream: &TcpStream) {
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_connection_on_which_nothing_moves_is_reset_and_counted() {
    let target = RawTarget::start();
    let environment = [("IDLE_TIMEOUT", "800ms"), ("LOG_CONNECTIONS", "true"), ("POOL_SIZE", "0")];
    let balancer = BINARY.start(&[target.address], &environment);
    let (idle, idle_server) = connect(&balancer, &target);
    let started = Instant::now();
    let (mut client, mut server) = connect(&balancer, &target);
    let asked = thread::spawn(move || {
        assert_reset(&idle);
        let waited = started.elapsed();
        assert_reset(&idle_server);
        waited
    });
    // A byte in one direction now and then is enough.
    while started.elapsed() < 3 * TIMEOUT {
        pass(&mut client, &mut server);
        thread::sleep(TIMEOUT / 10);
    }
    let waited = asked.join().unwrap();
    // It began to wait a little before `started`.
    assert!(waited + Duration::from_millis(20) > TIMEOUT, "{waited:?}");
    assert!(waited < 2 * TIMEOUT, "{waited:?}");
    assert_eq!(balancer.count("idle_timeouts_total"), 1);
    assert_eq!(balancer.log_lines("end=idle_timeout").len(), 1);
    pass(&mut server, &mut client);

    assert_reset(&client);
    assert_reset(&server);
    balancer.wait_for_count("idle_timeouts_total", 2);
    balancer.wait_for_count("active_connections", 0);
}

#[test]
fn a_reader_that_is_slow_is_not_idle() {
    let target = RawTarget::start();
    let balancer = BINARY.start(&[target.address], &[("IDLE_TIMEOUT", "800ms")]);
    let (mut client, mut server) = connect(&balancer, &target);
    // Fills every buffer on the way: from then on nothing moves but what the client takes.
    let writing = thread::spawn(move || while server.write(&[7; PIECE_BYTES]).is_ok() {});
    let mut piece = [0; PIECE_BYTES];
    let started = Instant::now();
    while started.elapsed() < 3 * TIMEOUT {
        client.read_exact(&mut piece).unwrap();
        thread::sleep(TIMEOUT / 40);
    }
    assert_eq!(balancer.count("idle_timeouts_total"), 0);
    // It stops: what it has not taken keeps nothing alive.
    balancer.wait_for_count("idle_timeouts_total", 1);
    writing.join().unwrap();
}

#[test]
fn a_half_closed_connection_has_a_timeout_of_its_own() {
    let target = RawTarget::start();
    let environment = [("IDLE_TIMEOUT", "0"), ("HALF_CLOSED_TIMEOUT", "300ms"), ("POOL_SIZE", "0")];
    let balancer = BINARY.start(&[target.address], &environment);
    let (mut open, mut open_server) = connect(&balancer, &target);
    for by_client in [true, false] {
        let (mut client, mut server) = connect(&balancer, &target);
        if !by_client {
            std::mem::swap(&mut client, &mut server);
        }
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.read(&mut [0]).unwrap(), 0, "FIN is passed");
        let shut = Instant::now();
        // The other direction goes on, and keeps it.
        while shut.elapsed() < Duration::from_millis(700) {
            pass(&mut server, &mut client);
            thread::sleep(Duration::from_millis(20));
        }
        assert_reset(&client);
    }
    assert_eq!(balancer.count("idle_timeouts_total"), 2);
    pass(&mut open, &mut open_server);
    pass(&mut open_server, &mut open);
}
