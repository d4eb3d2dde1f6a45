use std::io::Write;
use std::net::{IpAddr, Shutdown, SocketAddr};

use super::{binary, line, read_exactly, start};
use crate::BINARY;
use testkit::backend::{HealthServer, RawTarget};
use testkit::net::Noise;
use testkit::net::address::{ports, unique};
use testkit::net::stream::read_to_end;
use testkit::wait::wait_until;

/// What a target gets first from a client at `source`.
type Expected = fn(SocketAddr, SocketAddr) -> Vec<u8>;

const VERSIONS: [(&str, Expected); 2] = [
    ("v1", |source, destination| line(source, destination)),
    ("v2", |source, destination| binary(source, destination, b"")),
];

#[test]
fn a_target_gets_the_header_before_the_clients_first_byte_and_every_byte_after_it() {
    for (version, expected) in VERSIONS {
        let (balancer, target) = start(&[("PROXY_PROTOCOL", version)]);
        for length in [0, 1, 100, 3_000_000] {
            let mut client = balancer.connect();
            if length == 1 {
                client.write_all(b"early").unwrap();
            }
            let accepted = target.accept();
            let header = expected(client.local_addr().unwrap(), balancer.address);
            assert_eq!(read_exactly(&accepted, header.len()), header, "a client that is silent");
            if length == 1 {
                assert_eq!(read_exactly(&accepted, 5), b"early");
            }
            let noise = Noise::new();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    noise.send(&client, length).unwrap();
                    client.shutdown(Shutdown::Write).unwrap();
                });
                let (received, end) = noise.receive(&accepted);
                end.unwrap();
                assert_eq!(received, length);
            });
            { &accepted }.write_all(b"answer").unwrap();
            drop(accepted);
            assert_eq!(read_to_end(&client).unwrap(), b"answer");
        }
        balancer.wait_for_count("active_connections", 0);
    }
}

#[test]
fn the_header_goes_to_the_target_that_could_be_connected_and_once() {
    let refusing = SocketAddr::new(unique(), ports().target);
    let _health = HealthServer::start_for(refusing);
    let target = RawTarget::start();
    let environment = [("PROXY_PROTOCOL", "v1"), ("BALANCE", "round_robin"), ("POOL_SIZE", "0")];
    let balancer = BINARY.start(&[refusing, target.address], &environment);
    for address in [refusing, target.address] {
        balancer.wait_for_state(address, "healthy");
    }
    for _ in 0..20 {
        let mut client = balancer.connect();
        client.write_all(b"payload").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut expected = line(client.local_addr().unwrap(), balancer.address);
        expected.extend(b"payload");
        assert_eq!(read_to_end(&target.accept()).unwrap(), expected);
    }
    assert!(balancer.count("failed_connects_total") > 0);
}

#[test]
fn a_mapped_client_is_written_as_ipv4() {
    let IpAddr::V4(host) = unique() else { panic!("it is IPv4") };
    let target = RawTarget::start();
    let mapped = IpAddr::V6(host.to_ipv6_mapped());
    for (version, expected) in VERSIONS {
        let environment = [("PROXY_PROTOCOL", version)];
        let balancer = BINARY.start_on(mapped, &[target.address], &environment);
        let client = balancer.connect();
        let header = expected(client.local_addr().unwrap(), balancer.address);
        assert_eq!(read_exactly(&target.accept(), header.len()), header);
    }
}

#[test]
fn a_client_that_is_gone_at_once_leaves_nothing_behind() {
    let (balancer, target) = start(&[("PROXY_PROTOCOL", "v2")]);
    for _ in 0..50 {
        testkit::net::stream::reset(balancer.connect());
    }
    let all_counted = || {
        balancer.count("successful_connections_total") + balancer.count("failed_connections_total")
            == 50
    };
    wait_until("all are counted", all_counted);
    balancer.wait_for_count("active_connections", 0);
    drop(target);
}
