//! A data plane of one or two cores between real sockets.

use crate::plane::{Plane, free_address, listener};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use testkit::wait::{PATIENCE, wait_until};

use dataplane::{Balance, ServiceSettings, Settings};
use socket2::SockRef;

/// Two cores before these targets.
fn start(targets: &[SocketAddr], settings: &Settings) -> Plane {
    let plane = Plane::start(2, settings);
    plane.publish(targets.iter().map(|&address| plane.healthy(address)).collect());
    plane
}

fn settings() -> Settings {
    Settings {
        services: vec![ServiceSettings {
            balance: Balance::RoundRobin,
            ..ServiceSettings::default()
        }],
        // Whatever a target accepts is a client's.
        pool_size: 0,
        shutdown_timeout: Duration::from_secs(5),
        ..Settings::default()
    }
}

/// A plane with one target, a client's connection to it and the target's end of it.
fn pair() -> (Plane, TcpStream, TcpStream) {
    let listener = listener();
    let plane = start(&[listener.local_addr().unwrap()], &settings());
    let client = plane.connect();
    let (target, _) = listener.accept().unwrap();
    target.set_read_timeout(Some(PATIENCE)).unwrap();
    (plane, client, target)
}

fn read_to_end(mut stream: &TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map(|_| bytes)
}

fn noise(length: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(1);
    std::iter::repeat_with(|| rng.u8(..)).take(length).collect()
}

fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

#[test]
fn bytes_and_fin_pass_per_direction() {
    for client_first in [true, false] {
        let (plane, client, target) = pair();
        let (first, second) = if client_first { (client, target) } else { (target, client) };
        let (question, answer) = (noise(1000), noise(30_000_000));
        (&first).write_all(&question).unwrap();
        first.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_to_end(&second).unwrap(), question);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (&second).write_all(&answer).unwrap();
                second.shutdown(Shutdown::Write).unwrap();
            });
            assert!(read_to_end(&first).unwrap() == answer);
        });
        assert_eq!(plane.total(|count| &count.connections.successful), 1);
    }
}

#[test]
fn a_reset_becomes_a_reset_after_the_bytes_before_it() {
    for client_resets in [true, false] {
        let (_plane, client, target) = pair();
        let (resetting, other) = if client_resets { (client, target) } else { (target, client) };
        // More than the other end's kernel takes without anybody reading.
        let bytes = noise(400_000);
        (&resetting).write_all(&bytes).unwrap();
        // What was not acknowledged yet would be thrown away by the reset itself.
        wait_until("acknowledged", || send_queue(&resetting) == 0);
        reset(resetting);
        let mut received = Vec::new();
        let error = (&other).read_to_end(&mut received).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(received == bytes, "{} of {}", received.len(), bytes.len());
    }
}

/// Urgent data (RFC 9293, section 3.8.5) stops splice(2), which then may answer as it does at the
/// end of the stream.
#[test]
fn urgent_data_within_bulk_is_no_end_of_stream() {
    // What fills the buffers of the receives that come before the first splice.
    let bulk = noise(8 * 16 * 1024);
    for _ in 0..20 {
        let (_plane, client, target) = pair();
        (&client).write_all(&bulk).unwrap();
        let mut arrived = vec![0; bulk.len()];
        (&target).read_exact(&mut arrived).unwrap();
        SockRef::from(&client).send_out_of_band(b"!").unwrap();
        (&client).write_all(b"after it").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_to_end(&target).unwrap(), b"after it");
        (&target).write_all(b"and back").unwrap();
        drop(target);
        assert_eq!(read_to_end(&client).unwrap(), b"and back");
    }
}

/// Bytes that the other end's kernel has not acknowledged yet, from proc(5)'s `net/tcp`.
fn send_queue(stream: &TcpStream) -> u32 {
    let [local, peer] = [stream.local_addr(), stream.peer_addr()].map(|it| it.unwrap().port());
    let hex = |text: &str| u32::from_str_radix(text, 16).unwrap();
    let port = |address: &str| hex(address.split_once(':').unwrap().1);
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mut lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line =
        lines.find(|line| port(line[1]) == u32::from(local) && port(line[2]) == u32::from(peer));
    hex(line.unwrap()[4].split_once(':').unwrap().0)
}

#[test]
fn a_failed_connect_goes_to_another_target() {
    let listener = listener();
    let targets = [free_address(), free_address(), listener.local_addr().unwrap()];
    let plane = start(&targets, &settings());
    for _ in 0..20 {
        let mut client = plane.connect();
        client.write_all(b"early").unwrap();
        let (mut target, _) = listener.accept().unwrap();
        let mut early = [0; 5];
        target.read_exact(&mut early).unwrap();
        assert_eq!(&early, b"early");
    }
    assert_eq!(plane.total(|count| &count.connections.failed), 0);
    assert!(plane.total(|count| &count.connects.failed) >= 10);
}

#[test]
fn a_client_that_no_target_takes_is_reset() {
    let plane = start(&[free_address(), free_address()], &settings());
    // The reset may come before connect(2) has returned, which then tells of it.
    let client = TcpStream::connect(plane.address);
    let error = client.and_then(|mut client| client.read(&mut [0])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    wait_until("counted", || plane.total(|count| &count.connections.failed) == 1);
    assert_eq!(plane.total(|count| &count.connects.failed), 2);
    assert_eq!(plane.total(|count| &count.connections.successful), 0);
}

#[test]
fn clients_that_never_read_starve_nobody() {
    let listener = listener();
    let plane = start(&[listener.local_addr().unwrap()], &settings());
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            std::thread::spawn(move || {
                let mut first = [0];
                stream.read_exact(&mut first).unwrap();
                let size = if first == *b"b" { 20_000_000 } else { 1 };
                // The blocked ones fail when the test ends.
                let _ = stream.write_all(&vec![b'x'; size]);
            });
        }
    });
    let blocked: Vec<_> = (0..50)
        .map(|_| {
            let mut client = plane.connect();
            client.write_all(b"b").unwrap();
            client
        })
        .collect();
    for _ in 0..200 {
        let mut client = plane.connect();
        client.write_all(b"s").unwrap();
        assert_eq!(read_to_end(&client).unwrap(), b"x");
    }
    for client in blocked {
        reset(client);
    }
}

#[test]
fn at_the_end_live_sessions_finish_and_late_ones_are_reset() {
    let listener = listener();
    let timeout = Duration::from_secs(2);
    let settings = Settings { shutdown_timeout: timeout, ..settings() };
    let mut plane = start(&[listener.local_addr().unwrap()], &settings);
    let finishing = plane.connect();
    let (finishing_target, _) = listener.accept().unwrap();
    let mut late = plane.connect();
    let (mut late_target, _) = listener.accept().unwrap();
    let running = plane.running.take().unwrap();
    let stopped = Instant::now();
    running.stop_accepting();
    wait_until("refused", || TcpStream::connect(plane.address).is_err());
    (&finishing).write_all(b"still here").unwrap();
    finishing.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&finishing_target).unwrap(), b"still here");
    drop(finishing_target);
    assert_eq!(read_to_end(&finishing).unwrap(), b"");
    for stream in [&mut late, &mut late_target] {
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    running.join();
    assert!(stopped.elapsed() >= timeout);
}
