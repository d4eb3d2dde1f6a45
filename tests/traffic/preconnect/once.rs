use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{bring_clients_until, far_address, namespaces};
use crate::BINARY;
use testkit::backend::{Backend, HealthServer, Server};

/// A target that greets each connection by a number of its own, and then answers each line by that
/// number and the line.
fn start_greeting_server() -> (Server, HealthServer) {
    let numbers = Arc::new(AtomicUsize::new(0));
    let server = Server::start(far_address(), move |stream| {
        let number = numbers.fetch_add(1, Ordering::SeqCst);
        let say = |text: String| { stream }.write_all(text.as_bytes()).is_ok();
        if !say(format!("I am {number}\n")) {
            return;
        }
        for line in BufReader::new(stream).lines() {
            if !line.is_ok_and(|line| say(format!("{number} heard {line}\n"))) {
                return;
            }
        }
    });
    (server, HealthServer::start_for(far_address()))
}

#[test]
fn what_a_target_says_first_reaches_the_one_client_that_gets_the_connection() {
    let Some(namespaces) = namespaces() else { return };
    let _server = namespaces.far(start_greeting_server);
    namespaces.near(|| {
        let balancer = BINARY.start(&[far_address()], &[]);
        let (mut seen, mut asked) = (HashSet::new(), 0);
        bring_clients_until(&balancer, 100, || {
            asked += 1;
            let mut client = balancer.connect();
            // Some speak at once, the others when they are spoken to.
            let is_early = asked % 2 == 0;
            if is_early {
                client.write_all(b"hello\n").unwrap();
            }
            let mut lines = BufReader::new(client.try_clone().unwrap()).lines().map(Result::unwrap);
            let greeting = lines.next().unwrap();
            let number = greeting.strip_prefix("I am ").unwrap().to_owned();
            if !is_early {
                client.write_all(b"hello\n").unwrap();
            }
            assert_eq!(lines.next().unwrap(), format!("{number} heard hello"));
            assert!(seen.insert(number), "a connection that was used before");
        });
        assert_eq!(balancer.count("successful_connections_total"), asked);
        assert_eq!(
            balancer.count("pool_hits_total") + balancer.count("pool_misses_total"),
            asked,
            "each client is one or the other"
        );
    });
}

/// A target that expects a header and answers it by itself.
fn start_header_server() -> (Server, HealthServer) {
    let server = Server::start(far_address(), |mut stream| {
        let mut line = String::new();
        if BufReader::new(stream).read_line(&mut line).is_ok() {
            // One that waited in vain has ended meanwhile.
            let _ = stream.write_all(line.as_bytes());
        }
    });
    (server, HealthServer::start_for(far_address()))
}

#[test]
fn a_target_learns_who_the_client_is_although_it_was_connected_before() {
    let Some(namespaces) = namespaces() else { return };
    let _server = namespaces.far(start_header_server);
    let header_of = |client: &mut TcpStream| {
        let mut header = String::new();
        client.read_to_string(&mut header).unwrap();
        header
    };
    namespaces.near(|| {
        let balancer = BINARY.start(&[far_address()], &[("PROXY_PROTOCOL", "v1")]);
        bring_clients_until(&balancer, 50, || {
            let mut client = balancer.connect();
            let (own, its) = (client.local_addr().unwrap(), balancer.address);
            let [from, to] = [own.ip(), its.ip()];
            let expected = format!("PROXY TCP4 {from} {to} {} {}\r\n", own.port(), its.port());
            assert_eq!(header_of(&mut client), expected);
        });

        let environment = [
            ("PROXY_PROTOCOL", "v1"),
            ("ACCEPT_PROXY_PROTOCOL", "true"),
            ("TRUSTED_PROXIES", "127.0.0.0/8"),
        ];
        let balancer = BINARY.start(&[far_address()], &environment);
        let mut port = 0;
        bring_clients_until(&balancer, 50, || {
            port += 1;
            let mut client = balancer.connect();
            let header = format!("PROXY TCP4 192.0.2.{} 192.0.2.1 {port} 80\r\n", port % 250);
            // Whole, or in two pieces.
            let cut = if port % 2 == 0 { header.len() } else { 9 };
            client.write_all(&header.as_bytes()[..cut]).unwrap();
            thread::yield_now();
            client.write_all(&header.as_bytes()[cut..]).unwrap();
            assert_eq!(header_of(&mut client), header);
        });
        assert_eq!(balancer.count("failed_connections_total"), 0);
    });
}

#[test]
fn connections_without_a_client_are_bounded_and_nobodys() {
    let Some(namespaces) = namespaces() else { return };
    let backend = namespaces.far(|| Backend::start_on(far_address()));
    namespaces.near(|| {
        let environment = [("POOL_SIZE", "3"), ("MAX_CONNECTIONS", "2")];
        let balancer = BINARY.start(&[far_address()], &environment);
        bring_clients_until(&balancer, 50, || {
            balancer.get("/");
            assert!(balancer.count("pool_size") <= 3);
            balancer.wait_for_count("active_connections", 0);
        });
        assert_eq!(balancer.target(far_address())["active_connections"], 0);
        balancer.wait_for_count("pool_size", 0);
        assert!(balancer.count("pool_expired_total") >= 1);

        let balancer = BINARY.start(&[far_address()], &[("POOL_SIZE", "0")]);
        let before = backend.accepted();
        (0..50).for_each(|_| drop(balancer.get("/")));
        assert_eq!(backend.accepted(), before + 50);
        for name in ["pool_hits_total", "pool_misses_total", "pool_size"] {
            assert_eq!(balancer.count(name), 0, "{name}");
        }
    });
}
