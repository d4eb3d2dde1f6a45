//! The socket for clients comes from a service manager.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use rustix::process::Signal;
use socket2::{Domain, Socket, Type};

use crate::BINARY;
use testkit::backend::Backend;
use testkit::balancer::Balancer;
use testkit::http::Client;
use testkit::net::address::{ports, unique};

/// A socket as of a `.socket` unit; its address and one for an admin server.
pub(crate) fn listening() -> (Socket, [SocketAddr; 2]) {
    let address = SocketAddr::new(unique(), ports().clients);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(4096).unwrap();
    (socket, [address, admin()])
}

fn admin() -> SocketAddr {
    SocketAddr::new(unique(), ports().admin)
}

#[test]
fn clients_that_wait_while_nobody_runs_are_served() {
    let backend = Backend::start();
    let (socket, addresses) = listening();
    let queue = || {
        let mut clients: Vec<_> = (0..50).map(|_| Client::connect(addresses[0]).unwrap()).collect();
        for client in &mut clients {
            client.send("/").unwrap();
        }
        clients
    };
    for _ in 0..3 {
        let clients = queue();
        let mut balancer = BINARY.spawn_with_socket(&socket, addresses, &[backend.address], &[]);
        for mut client in clients {
            assert_eq!(client.receive().unwrap().body, backend.address.to_string());
        }
        balancer.signal(Signal::TERM);
        assert_eq!(balancer.wait_for_end().0, Some(0));
        // What is queued was left to the next: to take it would change what all share.
        assert!(!socket.nonblocking().unwrap());
    }
}

#[test]
fn what_comes_after_the_end_began_waits_for_the_next() {
    let backend = Backend::start();
    let (socket, addresses) = listening();
    let mut balancer = BINARY.spawn_with_socket(&socket, addresses, &[backend.address], &[]);
    balancer.wait_until_ready();
    let mut served = balancer.client();
    served.get("/").unwrap();
    balancer.signal(Signal::TERM);
    balancer.wait_for_log("no client is accepted any more");
    // One of its accepts may still be under way.
    let mut waiting: Vec<_> = (0..20).map(|_| balancer.client()).collect();
    for client in &mut waiting {
        client.send("/").unwrap();
    }
    served.get("/").unwrap();
    drop(served);
    let next = BINARY.spawn_with_socket(&socket, [addresses[0], admin()], &[backend.address], &[]);
    for client in &mut waiting {
        assert_eq!(client.receive().unwrap().status, 200);
    }
    drop(waiting);
    assert!(next.count("successful_connections_total") >= 10);
    assert_eq!(balancer.wait_for_end().0, Some(0));
}

#[test]
fn all_cores_accept_from_it() {
    let backend = Backend::start();
    let (socket, addresses) = listening();
    // As some managers pass it.
    socket.set_nonblocking(true).unwrap();
    let balancer = BINARY.spawn_with_socket(&socket, addresses, &[backend.address], &[]);
    balancer.wait_until_ready();
    let clients: Vec<_> = (0..64)
        .map(|_| {
            let mut client = balancer.client();
            client.get("/").unwrap();
            client
        })
        .collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for core in 0..cores {
        let share = balancer.count(&format!("core_connections{{core=\"{core}\"}}"));
        assert!(share >= 48 / cores as u64, "core {core} of {cores} has {share}");
    }
    drop(clients);
}

#[test]
fn variables_that_have_clients_connect_elsewhere_are_an_error() {
    let (socket, addresses) = listening();
    let port = addresses[0].port().to_string();
    for (name, value) in [("PORT", "1"), ("HOST", "0.0.0.0"), ("HOST", "::")] {
        let environment = [(name, value)];
        let mut balancer =
            BINARY.spawn_with_socket(&socket, addresses, &addresses[1..], &environment);
        assert_eq!(balancer.wait_for_end().0, Some(78));
        let passed = format!(
            "{name}=\"{value}\" is not where the socket listens that the service manager has \
             passed, {}; accepted: {}, or unset",
            addresses[0],
            if name == "PORT" { port.clone() } else { addresses[0].ip().to_string() }
        );
        assert_eq!(balancer.log_lines(&passed).len(), 1, "{passed}");
        assert_eq!(balancer.log_lines("is no address").len(), 0);
    }
    // All that is wrong is said at once.
    let environment = [("PORT", "1"), ("HOST", "::"), ("CORES", "none")];
    let mut balancer = BINARY.spawn_with_socket(&socket, addresses, &addresses[1..], &environment);
    assert_eq!(balancer.wait_for_end().0, Some(78));
    assert_eq!(balancer.log_lines("(3 variables)").len(), 1);
}

#[test]
fn variables_of_its_queue_are_without_effect() {
    let backend = Backend::start();
    let (socket, addresses) = listening();
    let environment = [("LISTEN_BACKLOG", "9"), ("OVERLAP", "true")];
    let balancer = BINARY.spawn_with_socket(&socket, addresses, &[backend.address], &environment);
    balancer.wait_until_ready();
    assert_eq!(balancer.get("/"), backend.address.to_string());
    let lines = balancer.log_lines(&format!("clients connect to {}", addresses[0]));
    assert_eq!(lines.len(), 1);
    assert!(lines[0].ends_with("LISTEN_BACKLOG=9, OVERLAP=true"), "{}", lines[0]);
}

#[test]
fn variables_that_say_the_same_are_in_order() {
    let backend = Backend::start();
    let (socket, addresses) = listening();
    let balancer = BINARY.spawn_with_socket(&socket, addresses, &[backend.address], &[]);
    balancer.wait_until_ready();
    assert_eq!(balancer.log_lines("without effect").len(), 0);
}

#[test]
fn a_socket_that_cannot_be_used_ends_the_start() {
    let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addresses = [udp.local_addr().unwrap(), admin()];
    for mut balancer in [
        BINARY.spawn_with_socket(&bound, addresses, &addresses, &[]),
        BINARY.spawn_with_socket(&udp, addresses, &addresses, &[]),
    ] {
        let (code, took) = balancer.wait_for_end();
        assert_eq!(code, Some(78));
        assert!(took < Duration::from_secs(5), "{took:?}");
        assert_eq!(balancer.log_lines("LISTEN_FDS=\"1\" passes descriptor 3").len(), 1);
    }
}

#[cfg(feature = "aws")]
mod aws {
    use std::time::Instant;

    use super::*;
    use testkit::aws::api::{Aws, Behaviour};
    use testkit::wait::wait_until;

    /// By then a start without a target was long given up, where starts are given up.
    const LONG: Duration = Duration::from_millis(2500);

    /// Forty clients that have sent a request before anybody answers, and one that is to.
    struct Stage {
        _socket: Socket,
        aws: Aws,
        backend: Backend,
        clients: Vec<Client>,
        balancer: Balancer,
    }

    impl Stage {
        fn new() -> Self {
            let (aws, backend) = (Aws::start(), Backend::start());
            aws.set_instances(&[("i-1", &backend.address.ip().to_string())]);
            aws.behave(Behaviour::Hanging);
            let (socket, addresses) = listening();
            let clients = (0..40).map(|_| {
                let mut client = Client::connect(addresses[0]).unwrap();
                client.send("/").unwrap();
                client
            });
            let clients = clients.collect();
            let variables = aws.variables();
            let port = ports().target.to_string();
            let mut environment: Vec<_> =
                variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
            environment.extend([("TARGET_PORT", &*port), ("HEALTH_CHECK_TIMEOUT", "100ms")]);
            let balancer =
                BINARY.spawn_with_socket(&socket, addresses, &addresses[1..], &environment);
            Self { _socket: socket, aws, backend, clients, balancer }
        }

        /// Nobody is served or reset while AWS does not answer.
        fn wait_for_discovery(&self) {
            let began = Instant::now();
            wait_until("AWS was asked", || self.aws.calls("DescribeAutoScalingGroups") > 0);
            while began.elapsed() < LONG {
                for client in &self.clients {
                    client.0.set_nonblocking(true).unwrap();
                    let error = client.0.peek(&mut [0]).unwrap_err();
                    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                    client.0.set_nonblocking(false).unwrap();
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            assert_eq!(self.balancer.count("active_connections"), 0);
        }
    }

    #[test]
    fn clients_wait_until_discovery_has_answered_however_long_that_takes() {
        let mut stage = Stage::new();
        stage.wait_for_discovery();
        stage.aws.behave(Behaviour::Good);
        for client in &mut stage.clients {
            let answer = client.receive().unwrap();
            assert_eq!(answer.status, 200);
            assert_eq!(answer.body, stage.backend.address.to_string());
        }
    }

    #[test]
    fn an_empty_answer_ends_the_wait() {
        let mut stage = Stage::new();
        stage.wait_for_discovery();
        stage.aws.behave(Behaviour::Empty);
        for client in &mut stage.clients {
            let error = client.receive().unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
        stage.balancer.wait_for_log("there are no targets: clients are turned away");
    }
}
