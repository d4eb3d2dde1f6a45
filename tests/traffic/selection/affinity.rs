//! A client's address leads to the same target on every core of every instance.

use std::collections::HashMap;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;

use exchange::{Affinity, ClientKey, Target};
use socket2::{Domain, Socket, Type};

use crate::BINARY;
use testkit::backend::{Backend, addresses};
use testkit::balancer::Balancer;
use testkit::http::Client;
use testkit::wait::wait_until;

const MAGLEV: [(&str, &str); 2] = [("BALANCE", "maglev"), ("CORES", "2")];
const CLIENTS: u8 = 20;

struct Stage {
    backends: Vec<Backend>,
    balancers: [Balancer; 2],
}

impl Stage {
    fn new(environment: &[(&str, &str)]) -> Self {
        let backends: Vec<_> = (0..5).map(|_| Backend::start()).collect();
        let mut addresses = addresses(&backends);
        let environment = [&MAGLEV, environment].concat();
        let first = BINARY.start(&addresses, &environment);
        addresses.reverse();
        let balancers = [first, BINARY.start(&addresses, &environment)];
        Self { backends, balancers }
    }

    /// Where clients have to be led while these backends are healthy.
    fn expected(&self, healthy: &[usize]) -> HashMap<IpAddr, SocketAddr> {
        let target = |&index: &usize| Arc::new(Target::at(self.backends[index].address));
        let affinity = Affinity::of(healthy.iter().map(target).collect());
        let lead = |client| {
            let number = affinity.choose(ClientKey::of(client)).unwrap();
            (client, affinity.targets()[number].address)
        };
        clients().map(lead).collect()
    }

    /// Waits until both balancers lead each client there on a few connections in a row, whichever
    /// core these come to.
    fn wait_for(&self, expected: &HashMap<IpAddr, SocketAddr>) {
        for balancer in &self.balancers {
            wait_until("clients are led to their targets", || {
                let mut all = clients().flat_map(|client| [client; 6]);
                all.all(|client| served_from(balancer, client) == expected[&client])
            });
        }
    }
}

fn clients() -> impl Iterator<Item = IpAddr> {
    (1..=CLIENTS).map(|number| Ipv4Addr::new(127, 99, 0, number).into())
}

/// The target that serves a client with this address.
fn served_from(balancer: &Balancer, client: IpAddr) -> SocketAddr {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(client, 0).into()).unwrap();
    socket.connect(&balancer.address.into()).unwrap();
    let answer = Client(TcpStream::from(socket)).get("/").unwrap();
    assert_eq!(answer.status, 200);
    answer.body.parse().unwrap()
}

#[test]
fn two_instances_lead_every_client_to_the_same_target() {
    let stage = Stage::new(&[]);
    stage.wait_for(&stage.expected(&[0, 1, 2, 3, 4]));

    stage.backends[3].set_health(500);
    stage.wait_for(&stage.expected(&[0, 1, 2, 4]));
    stage.backends[3].set_health(200);
    stage.wait_for(&stage.expected(&[0, 1, 2, 3, 4]));
}

#[test]
fn instances_agree_on_where_clients_of_a_dead_target_go() {
    // Only connects find out, and go on to do so.
    let mut stage =
        Stage::new(&[("HEALTH_CHECK_PERIOD", "1h"), ("CIRCUIT_BREAKER_THRESHOLD", "1000")]);
    let expected = stage.expected(&[0, 1, 2, 3, 4]);
    stage.wait_for(&expected);
    let dead = stage.backends[0].address;
    stage.backends[0].kill();
    for client in clients() {
        let [one, other] = &stage.balancers;
        let served = served_from(one, client);
        assert_eq!(served, served_from(other, client));
        assert_eq!(served == expected[&client], expected[&client] != dead);
    }
}

#[test]
fn a_client_is_who_its_proxy_protocol_header_says() {
    let stage = Stage::new(&[
        ("ACCEPT_PROXY_PROTOCOL", "true"),
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
        ("HEALTH_CHECK_PERIOD", "1h"),
    ]);
    let expected = stage.expected(&[0, 1, 2, 3, 4]);
    for balancer in &stage.balancers {
        wait_until("clients are led to their targets", || {
            clients().all(|client| {
                let mut connection = balancer.client();
                let header = format!("PROXY TCP4 {client} 192.0.2.1 1234 80\r\n");
                connection.0.write_all(header.as_bytes()).unwrap();
                connection.get("/").unwrap().body == expected[&client].to_string()
            })
        });
    }
}

#[test]
fn what_maglev_does_not_heed_is_told_at_start() {
    let backend = Backend::start();
    let zones = [("ZONE_AWARE", "true"), ("AVAILABILITY_ZONE", "a")];
    let environment = [&MAGLEV[..1], &zones].concat();
    let balancer = BINARY.start(&[backend.address], &environment);
    assert_eq!(balancer.log_lines("ZONE_AWARE is set, but BALANCE=maglev").len(), 1);
    assert!(balancer.log_lines("prefer").is_empty());
}
