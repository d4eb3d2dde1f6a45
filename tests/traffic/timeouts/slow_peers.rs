//! Peers that read slowly, all the while: none of them is idle, and none of them is gone.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use crate::BINARY;
use testkit::backend::{HealthServer, RawTarget};
use testkit::balancer::Balancer;
use testkit::net::address::ports;
use testkit::net::namespace::{Namespaces, at_each_mtu};
use testkit::net::stream::set_timeouts;

const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// Longer than any peer may take that acknowledges nothing.
const TIME: Duration = Duration::from_secs(10);

/// How slow readers read: their receive buffer, how much at a time, and how often. The kernel opens
/// a window again once a segment fits: after more than two seconds, with the larger ones.
const READERS: [(usize, usize, u64); 6] = [
    (8_192, 4_096, 250),
    (8_192, 16_384, 1000),
    (16_384, 4_096, 500),
    (16_384, 8_192, 500),
    (32_768, 16_384, 250),
    (65_536, 65_536, 1000),
];

/// A socket with this receive buffer.
fn socket(receive_bytes: usize) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.set_recv_buffer_size(receive_bytes).unwrap();
    socket
}

/// Reads as slowly as `READERS` say, for [`TIME`]; what was read.
fn read_slowly(mut stream: TcpStream, piece: usize, pause_ms: u64) -> usize {
    set_timeouts(&stream);
    let (started, mut bytes, mut read) = (Instant::now(), vec![0; piece], 0);
    while started.elapsed() < TIME {
        match stream.read(&mut bytes) {
            Ok(count @ 1..) => read += count,
            ended => panic!("{ended:?} after {:?}, {read} bytes", started.elapsed()),
        }
        thread::sleep(Duration::from_millis(pause_ms));
    }
    read
}

fn start(target: SocketAddr) -> Balancer {
    let timeout = format!("{}s", IDLE_TIMEOUT.as_secs());
    let environment =
        [("IDLE_TIMEOUT", &*timeout), ("POOL_SIZE", "0"), ("LOG_CONNECTIONS", "true")];
    BINARY.start_on(Namespaces::NEAR, &[target], &environment)
}

#[test]
fn clients_that_read_slowly_all_the_while_are_not_cut() {
    at_each_mtu(|namespaces| {
        let target = RawTarget::start();
        let balancer = start(target.address);
        thread::scope(|scope| {
            for (receive_bytes, piece, pause_ms) in READERS {
                let client = namespaces.far(|| {
                    let socket = socket(receive_bytes);
                    socket.connect(&balancer.address.into()).unwrap();
                    TcpStream::from(socket)
                });
                let mut server = target.accept();
                scope.spawn(move || while server.write(&[7; 16 * 1024]).is_ok() {});
                scope.spawn(move || read_slowly(client, piece, pause_ms));
            }
        });
        assert_eq!(balancer.count("idle_timeouts_total"), 0);
    });
}

#[test]
fn targets_that_read_slowly_all_the_while_are_not_cut() {
    at_each_mtu(|namespaces| {
        let (receive_bytes, piece, pause_ms) = READERS[0];
        let address = SocketAddr::new(Namespaces::FAR, ports().target);
        let (listener, _health) = namespaces.far(|| {
            let listener = socket(receive_bytes);
            listener.set_reuse_address(true).unwrap();
            listener.bind(&address.into()).unwrap();
            listener.listen(8).unwrap();
            (listener, HealthServer::start_for(address))
        });
        let balancer = start(address);
        let mut client = balancer.connect();
        let target = TcpStream::from(listener.accept().unwrap().0);
        thread::scope(|scope| {
            scope.spawn(move || while client.write(&[7; 16 * 1024]).is_ok() {});
            scope.spawn(move || read_slowly(target, piece, pause_ms));
        });
        assert_eq!(balancer.count("idle_timeouts_total"), 0);
    });
}
