//! Against `HAProxy`, as the receiver of headers and as their sender.

use std::io::Write;
use std::net::SocketAddr;

use super::{address, binary, line, read_exactly, start};
use crate::BINARY;
use testkit::backend::HaProxy;
use testkit::http::{Answer, Client, Message};
use testkit::net::address::{ports, unique};
use testkit::skip::skip;
use testkit::wait::wait_for;

/// A web server that expects a header on every connection, health checks too, and answers with what
/// it learnt from it.
fn receiver() -> (SocketAddr, HaProxy) {
    let address = SocketAddr::new(unique(), ports().target);
    let health = SocketAddr::new(address.ip(), ports().health);
    let told = "%[src] %[src_port] %[dst] %[dst_port] %[fc_pp_authority]";
    let configuration = format!(
        "frontend receiver\n mode http\n bind {address} accept-proxy\n bind {health} accept-proxy\n \
         http-request return status 200 content-type text/plain lf-string \"{told}\"\n"
    );
    (address, HaProxy::start(&configuration))
}

#[test]
fn haproxy_understands_what_targets_get() {
    if let Err(reason) = HaProxy::check() {
        return skip(&reason);
    }
    let (target, _haproxy) = receiver();
    for version in ["v1", "v2"] {
        let environment = [("PROXY_PROTOCOL", version), ("HEALTH_CHECK_PROXY_PROTOCOL", "true")];
        let balancer = BINARY.start(&[target], &environment);
        balancer.wait_for_state(target, "healthy");
        let mut client = balancer.client();
        let (own, to) = (client.0.local_addr().unwrap(), balancer.address);
        let told = format!("{} {} {} {} ", own.ip(), own.port(), to.ip(), to.port());
        for _ in 0..3 {
            let expected = Answer { status: 200, body: told.clone() };
            assert_eq!(client.get("/").unwrap(), expected, "{version}");
        }
    }
}

#[test]
fn haproxy_understands_what_was_carried_on() {
    if let Err(reason) = HaProxy::check() {
        return skip(&reason);
    }
    let (target, _haproxy) = receiver();
    let environment = [
        ("PROXY_PROTOCOL", "v2"),
        ("HEALTH_CHECK_PROXY_PROTOCOL", "true"),
        ("ACCEPT_PROXY_PROTOCOL", "true"),
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
    ];
    let balancer = BINARY.start(&[target], &environment);
    let (source, destination) = (address("198.51.100.7:4711"), address("203.0.113.9:443"));
    // PP2_TYPE_AUTHORITY.
    let fields = b"\x02\0\x0Bexample.org";
    let six = "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n";
    for (header, told) in [
        (line(source, destination), "198.51.100.7 4711 203.0.113.9 443 "),
        (binary(source, destination, fields), "198.51.100.7 4711 203.0.113.9 443 example.org"),
        (six.as_bytes().to_vec(), "2001:db8::1 1 2001:db8::2 2 "),
    ] {
        let mut client = balancer.client();
        client.0.write_all(&header).unwrap();
        assert_eq!(client.get("/").unwrap().body, told);
    }
}

#[test]
fn checks_without_a_header_fail_where_one_is_expected() {
    if let Err(reason) = HaProxy::check() {
        return skip(&reason);
    }
    let (target, _haproxy) = receiver();
    let balancer = BINARY.spawn(&[target], &[("PROXY_PROTOCOL", "v2")]);
    wait_for("the admin server", || balancer.readiness(), Option::is_some);
    balancer.wait_for_state(target, "unhealthy");
    // Without PROXY_PROTOCOL, too, when the checked port expects headers.
    let environment = [("HEALTH_CHECK_PROXY_PROTOCOL", "true")];
    let balancer = BINARY.start(&[target], &environment);
    balancer.wait_for_state(target, "healthy");
}

#[test]
fn what_haproxy_sends_is_understood() {
    if let Err(reason) = HaProxy::check() {
        return skip(&reason);
    }
    for (options, passes_checksum) in [
        ("send-proxy", false),
        ("send-proxy-v2", false),
        ("send-proxy-v2 proxy-v2-options crc32c", true),
    ] {
        let (balancer, target) = start(&[
            ("PROXY_PROTOCOL", "v2"),
            ("ACCEPT_PROXY_PROTOCOL", "true"),
            ("TRUSTED_PROXIES", "127.0.0.1"),
        ]);
        let address = SocketAddr::new(unique(), ports().clients);
        let server = balancer.address;
        let _haproxy = HaProxy::start(&format!(
            "listen sender\n mode tcp\n bind {address}\n server balancer {server} {options}\n"
        ));
        let mut client = Client::connect(address).unwrap();
        client.send("/").unwrap();
        let accepted = target.accept();
        let own = client.0.local_addr().unwrap();
        let expected = binary(own, address, if passes_checksum { b"\x03\0\x04????" } else { b"" });
        let header = read_exactly(&accepted, expected.len());
        // The checksum depends on the port: HAProxy itself is to say that it is right.
        let compared = expected.iter().position(|byte| *byte == b'?').unwrap_or(header.len());
        assert_eq!(header[..compared], expected[..compared], "{options}");
        let (receiver, _receiver) = receiver();
        let answer = |header: &[u8]| {
            let mut client = Client::connect(receiver).unwrap();
            client.0.write_all(header).unwrap();
            client.get("/").ok().map(|answer| answer.status)
        };
        assert_eq!(answer(&header), Some(200), "{options}");
        if passes_checksum {
            let mut wrong = header.clone();
            wrong[compared] ^= 1;
            assert_eq!(answer(&wrong), None, "HAProxy compares it");
        }
        let request = Message::read(&accepted).unwrap().unwrap();
        assert_eq!(request.target(), "/", "{options}");
        Message::answer(200, "ok").write(&accepted).unwrap();
        assert_eq!(client.receive().unwrap(), Answer { status: 200, body: "ok".to_owned() });
    }
}
