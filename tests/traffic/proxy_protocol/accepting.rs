use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::{address, binary, line, read_exactly, start, with_block};
use testkit::balancer::Balancer;
use testkit::net::stream::{read_to_end, reset};
use testkit::wait::wait_until;

/// How long a reset may take that does not wait for anything.
const PROMPTLY: Duration = Duration::from_secs(2);

const ACCEPT: [(&str, &str); 2] =
    [("ACCEPT_PROXY_PROTOCOL", "true"), ("TRUSTED_PROXIES", "192.0.2.0/24,127.0.0.1")];

fn with(environment: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [&ACCEPT, environment].concat()
}

#[test]
fn the_address_that_a_header_carries_goes_on_and_the_header_does_not() {
    let (source, destination) = (address("198.51.100.7:4711"), address("203.0.113.9:443"));
    // PP2_TYPE_AWS: the id of a VPC endpoint.
    let fields = b"\xEA\0\x17\x01vpce-08d2bf15fac5001c9";
    for (environment, header, expected) in [
        (&[][..], line(source, destination), vec![]),
        (&[("PROXY_PROTOCOL", "v1")], line(source, destination), line(source, destination)),
        (&[("PROXY_PROTOCOL", "v2")], line(source, destination), binary(source, destination, b"")),
        (
            &[("PROXY_PROTOCOL", "v1")],
            binary(source, destination, fields),
            line(source, destination),
        ),
        (
            &[("PROXY_PROTOCOL", "v2")],
            binary(source, destination, fields),
            binary(source, destination, fields),
        ),
        (
            &[("PROXY_PROTOCOL", "v2"), ("PROXY_PROTOCOL_TLVS", "drop")],
            binary(source, destination, fields),
            binary(source, destination, b""),
        ),
    ] {
        let (balancer, target) = start(&with(environment));
        let mut client = balancer.connect();
        client.write_all(&[&header[..], b"payload in the same segment"].concat()).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let expected = [&expected[..], b"payload in the same segment"].concat();
        assert_eq!(read_to_end(&target.accept()).unwrap(), expected);
    }
}

#[test]
fn a_header_may_come_byte_by_byte_and_nothing_is_connected_before_its_last() {
    let (balancer, target) = start(&with(&[("PROXY_PROTOCOL", "v2")]));
    let (source, destination) = (address("198.51.100.7:1"), address("203.0.113.9:2"));
    for header in [line(source, destination), binary(source, destination, b"\x04\0\0")] {
        let mut client = balancer.connect();
        client.set_nodelay(true).unwrap();
        for byte in &header[..header.len() - 1] {
            client.write_all(&[*byte]).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        balancer.wait_for_count("active_connections", 1);
        assert_eq!(balancer.target(target.address)["active_connections"], 0);
        client.write_all(&header[header.len() - 1..]).unwrap();
        let accepted = target.accept();
        client.write_all(b"x").unwrap();
        let fields = if header.starts_with(b"PROXY") { &b""[..] } else { b"\x04\0\0" };
        let expected = [binary(source, destination, fields), b"x".to_vec()].concat();
        assert_eq!(read_exactly(&accepted, expected.len()), expected);
        drop((client, accepted));
        balancer.wait_for_count("active_connections", 0);
    }
}

#[test]
fn a_header_that_names_nobody_means_the_connection_itself() {
    let (balancer, target) = start(&with(&[("PROXY_PROTOCOL", "v1")]));
    for header in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        with_block(0x20, 0, b""),
        with_block(0x20, 0x11, &[9; 12]),
        with_block(0x21, 0, b"skipped"),
        with_block(0x21, 0x31, &[1; 216]),
    ] {
        let mut client = balancer.connect();
        client.write_all(&header).unwrap();
        let expected = line(client.local_addr().unwrap(), balancer.address);
        assert_eq!(read_exactly(&target.accept(), expected.len()), expected);
    }
}

/// The balancer resets the connection within this time.
fn assert_reset(mut client: &TcpStream, within: Duration) {
    let started = Instant::now();
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(started.elapsed() < within, "{:?}", started.elapsed());
}

fn assert_rejected(balancer: &Balancer, reason: &str, count: u64) {
    let name = format!("rejected_connections_total{{reason=\"{reason}\"}}");
    balancer.wait_for_count(&name, count);
}

#[test]
fn what_is_no_header_is_reset_at_once_and_counted_by_reason() {
    let (balancer, target) = start(&with(&[]));
    let mut oversized = with_block(0x21, 0x11, b"");
    oversized[14..16].copy_from_slice(&[0xFF, 0xFF]);
    for (reason, beginnings) in [
        ("proxy_header_missing", vec![&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01", b"P?"]),
        (
            "proxy_header_malformed",
            vec![
                b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
                b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
                b"PROXY TCP9",
                b"\r\n\r\n\0\r\nQUIT\n\x31",
                b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0B",
            ],
        ),
        ("proxy_header_oversized", vec![&oversized]),
    ] {
        for (beginning, count) in beginnings.iter().zip(1..) {
            let mut client = balancer.connect();
            client.write_all(beginning).unwrap();
            assert_reset(&client, PROMPTLY);
            assert_rejected(&balancer, reason, count);
        }
    }
    // An end before the header's: none at all, and a part of one.
    let client = balancer.connect();
    client.shutdown(Shutdown::Write).unwrap();
    assert_reset(&client, PROMPTLY);
    assert_rejected(&balancer, "proxy_header_none", 1);
    reset(balancer.connect());
    assert_rejected(&balancer, "proxy_header_none", 2);
    assert!(balancer.log_lines("proxy_header_none").is_empty(), "it may be a probe");
    let mut client = balancer.connect();
    client.write_all(b"PROXY TCP4 1.2.3.4").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_reset(&client, PROMPTLY);
    assert_rejected(&balancer, "proxy_header_malformed", 6);
    balancer.wait_for_count("active_connections", 0);
    assert_eq!(balancer.count("failed_connections_total"), 0);
    assert_eq!(balancer.count("successful_connections_total"), 0);
    drop(target);
}

#[test]
fn a_header_that_is_not_whole_after_three_seconds_is_too_late() {
    let (balancer, target) = start(&with(&[]));
    let (silent, mut slow) = (balancer.connect(), balancer.connect());
    let started = Instant::now();
    slow.write_all(b"PROXY UNKNOWN").unwrap();
    let mut drip = || {
        std::thread::sleep(Duration::from_millis(100));
        slow.write_all(b" ")
    };
    let error = (0..60).find_map(|_| drip().err()).expect("it is reset meanwhile");
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe));
    let error = { &silent }.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(started.elapsed() >= Duration::from_secs(3), "{:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    assert_rejected(&balancer, "proxy_header_late", 2);
    balancer.wait_for_count("active_connections", 0);
    drop(target);
}

#[test]
fn a_client_that_is_no_trusted_proxy_is_reset_whatever_it_sends() {
    let environment = [("ACCEPT_PROXY_PROTOCOL", "true"), ("TRUSTED_PROXIES", "192.0.2.0/24,::1")];
    let (balancer, target) = start(&environment);
    for count in 1..=3 {
        // Both may fail: the reset may come before.
        let read = testkit::net::stream::connect(balancer.address).and_then(|mut client| {
            let _ = client.write_all(b"PROXY UNKNOWN\r\n");
            client.read(&mut [0])
        });
        assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_rejected(&balancer, "untrusted_proxy", count);
    }
    wait_until("no connection is left", || balancer.count("active_connections") == 0);
    drop(target);
}
