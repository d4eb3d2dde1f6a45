//! Clients that leave while their target is being connected.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::BINARY;
use testkit::backend::RawTarget;
use testkit::balancer::Balancer;
use testkit::net::stream::{read_to_end, reset, wait_for_reset_after_fin};
use testkit::process::usage::{descriptors, resident_kb};
use testkit::wait::wait_for;

/// At once: fewer than the listen queue holds, whose overflow would make the kernel drop some.
const CROWD: u64 = 2_500;
const CROWDS: u64 = 4;
const RUN: u64 = CROWD * CROWDS;
/// A leak makes memory grow with each run. A crowd that is connected for faster than those before, so
/// that more of it is there at a time, does so once.
const RUNS_MAX: u64 = 5;
/// What one run may add, in kB: not 100 bytes for each client.
const LEAK_KB: u64 = 900;

#[test]
fn ten_thousand_clients_that_leave_during_the_connect_leave_nothing_behind() {
    let mut target = RawTarget::blackhole();
    let environment = [
        ("POOL_TIMEOUT", "300ms"),
        // Checked once: the descriptors of later checks would only disturb the count.
        ("HEALTH_CHECK_PERIOD", "1h"),
    ];
    let balancer = BINARY.start(&[target.address], &environment);
    let pid = balancer.pid();
    let idle_descriptors = settled_descriptors(pid);

    let mut resident = Vec::new();
    for run in 1.. {
        for crowd in 1..=CROWDS {
            come_and_leave(&balancer);
            let gone = (run - 1) * RUN + crowd * CROWD;
            balancer.wait_for_count("failed_connections_total", gone);
        }
        balancer.wait_for_count("active_connections", 0);
        wait_for("descriptors closed", || descriptors(pid), |open| *open == idle_descriptors);
        assert_eq!(balancer.count("failed_connections_total"), run * RUN);
        resident.push(resident_kb(pid));
        if let [.., before, after] = resident[..]
            && after <= before + LEAK_KB
        {
            break;
        }
        assert!(run < RUNS_MAX, "memory grows: {resident:?} kB");
    }
    assert_eq!(balancer.count("successful_connections_total"), 0);

    target.drain();
    let mut client = balancer.connect();
    client.write_all(b"still here").unwrap();
    let accepted = wait_for_client(&target, b"still here");
    drop(accepted);
    drop(client);
    balancer.wait_for_count("active_connections", 0);
    assert_eq!(balancer.count("successful_connections_total"), 1);
}

/// The number of open descriptors once it does not change any more: the first health check and our
/// own questions leave theirs behind only for a moment.
fn settled_descriptors(pid: u32) -> usize {
    let mut last = (0, Instant::now());
    let settled = wait_for(
        "descriptors to settle",
        || {
            let now = descriptors(pid);
            if now != last.0 {
                last = (now, Instant::now());
            }
            (now, last.1.elapsed())
        },
        |(_, unchanged)| *unchanged > Duration::from_millis(300),
    );
    settled.0
}

/// A crowd of clients: half of them leave by RST, the others by FIN; half say something first.
fn come_and_leave(balancer: &Balancer) {
    thread::scope(|scope| {
        for (talks, by_reset) in [(false, false), (false, true), (true, false), (true, true)] {
            scope.spawn(move || {
                for _ in 0..CROWD / 4 {
                    let mut client = balancer.connect();
                    if talks {
                        // On a busy machine its connect may have been given up by now.
                        let _ = client.write_all(b"hello");
                    }
                    leave(client, by_reset);
                }
            });
        }
    });
}

fn leave(client: TcpStream, by_reset: bool) {
    if by_reset {
        reset(client);
    }
}

/// Connections connected for clients long gone may come first: they are ended already.
fn wait_for_client(target: &RawTarget, greeting: &[u8]) -> TcpStream {
    loop {
        let mut stream = target.accept();
        let mut bytes = vec![0; greeting.len()];
        if stream.read_exact(&mut bytes).is_ok() && bytes == greeting {
            return stream;
        }
    }
}

#[test]
fn what_a_client_said_before_it_left_is_delivered() {
    for by_reset in [true, false] {
        let mut target = RawTarget::blackhole();
        let balancer = BINARY.start(&[target.address], &[("POOL_TIMEOUT", "15s")]);
        let mut client = balancer.connect();
        client.write_all(b"last words").unwrap();
        balancer.wait_for_count("active_connections", 1);
        leave(client, by_reset);
        target.drain();
        let mut accepted = target.accept();
        if by_reset {
            let mut words = Vec::new();
            let error = accepted.read_to_end(&mut words).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            assert_eq!(words, b"last words");
        } else {
            assert_eq!(read_to_end(&accepted).unwrap(), b"last words");
            // Nobody is there to take it: the client's kernel says so by RST, which passes.
            accepted.write_all(b"too late").unwrap();
            wait_for_reset_after_fin(&accepted);
        }
        balancer.wait_for_count("active_connections", 0);
        assert_eq!(balancer.count("successful_connections_total"), 1);
    }
}
