//! Clients that send something and reset the connection at once: it may be gone before it is accepted.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;

use crate::BINARY;
use testkit::backend::{HealthServer, Server};
use testkit::balancer::Balancer;
use testkit::net::address::{ports, unique};
use testkit::net::stream::reset;
use testkit::wait::{PATIENCE, wait_until};

const CLIENTS: usize = 150;

/// What a target gets of one connection before it ends; errors of ours end the test.
fn everything(mut stream: &TcpStream) -> Vec<u8> {
    let (mut all, mut piece) = (Vec::new(), [0; 512]);
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        all.extend_from_slice(&piece[..count]);
    }
    all
}

/// What the target has got of each of [`CLIENTS`] clients, and where these were.
fn come_and_go(environment: &[(&str, &str)]) -> (Balancer, Vec<Vec<u8>>, Vec<SocketAddr>) {
    let address = SocketAddr::new(unique(), ports().target);
    let _health = HealthServer::start_for(address);
    let (sender, received) = mpsc::channel();
    let _target = Server::start(address, move |stream: &TcpStream| {
        // Nothing comes of preconnected connections that nobody needed.
        let bytes = Some(everything(stream)).filter(|bytes| !bytes.is_empty());
        bytes.map(|bytes| sender.send(bytes));
    });
    let balancer = BINARY.start(&[address], environment);
    let clients = (0..CLIENTS).map(|number| {
        let mut client = balancer.connect();
        let own = client.local_addr().unwrap();
        client.write_all(format!("{number:04}").as_bytes()).unwrap();
        reset(client);
        own
    });
    let clients: Vec<_> = clients.collect();
    let all = (0..CLIENTS).map_while(|_| received.recv_timeout(PATIENCE).ok()).collect();
    (balancer, all, clients)
}

/// The payloads, without what comes before them.
fn payloads(all: &[Vec<u8>]) -> BTreeSet<String> {
    let last = |bytes: &Vec<u8>| String::from_utf8(bytes[bytes.len() - 4..].to_vec()).unwrap();
    all.iter().map(last).collect()
}

fn assert_all_arrive(environment: &[(&str, &str)]) -> (Balancer, Vec<Vec<u8>>, Vec<SocketAddr>) {
    let came = come_and_go(environment);
    let expected = (0..CLIENTS).map(|number| format!("{number:04}")).collect::<BTreeSet<_>>();
    assert_eq!(payloads(&came.1), expected, "{environment:?}");
    came
}

#[test]
fn their_bytes_arrive_whatever_needs_their_address() {
    for environment in [
        &[][..],
        &[("ALLOW_CIDRS", "127.0.0.0/8")],
        &[("MAX_CONNECTIONS_PER_CLIENT", "1000")],
        &[("BALANCE", "maglev")],
    ] {
        assert_all_arrive(environment);
    }
}

#[test]
fn each_has_its_line_in_the_log() {
    let (balancer, _, clients) = assert_all_arrive(&[("LOG_CONNECTIONS", "true")]);
    for client in clients {
        let line = format!("ended client={client} ");
        wait_until("its end is logged", || balancer.log_lines(&line).len() == 1);
    }
}

#[test]
fn each_has_its_header() {
    let (_balancer, all, clients) = assert_all_arrive(&[("PROXY_PROTOCOL", "v1")]);
    let sources: BTreeSet<_> = all
        .iter()
        .map(|bytes| {
            let text = std::str::from_utf8(bytes).unwrap();
            let parts: Vec<_> = text.split_ascii_whitespace().collect();
            assert_eq!(parts[..2], ["PROXY", "TCP4"], "{text}");
            SocketAddr::new(parts[2].parse().unwrap(), parts[4].parse().unwrap())
        })
        .collect();
    assert_eq!(sources, clients.into_iter().collect());
}
