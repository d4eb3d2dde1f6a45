//! Clients that wait until it is known who can serve them, between real sockets.

use crate::plane::{Plane, listener};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use testkit::wait::{PATIENCE, wait_until};

use dataplane::{ProxyProtocol, Settings};
use socket2::{Domain, SockRef, Socket, Type};

fn start(cores: usize) -> Plane {
    let settings = Settings {
        connect_timeout: Duration::from_millis(300),
        shutdown_timeout: Duration::ZERO,
        ..Settings::default()
    };
    Plane::start(cores, &settings)
}

/// A server that says `number` to everyone.
fn serve(number: u8) -> SocketAddr {
    let listener = listener();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.write_all(&[number]);
        }
    });
    address
}

/// Nobody is connected there: SYNs are dropped, since its queue is full.
fn full() -> (SocketAddr, TcpListener, Vec<Socket>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let queued = (0..8).map(|_| {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        client.set_nonblocking(true).unwrap();
        let _ = client.connect(&address.into());
        client
    });
    let queued = queued.collect();
    (address, listener, queued)
}

fn ask(mut client: &TcpStream) -> std::io::Result<u8> {
    let mut answer = [0];
    client.read_exact(&mut answer)?;
    Ok(answer[0])
}

#[test]
fn who_comes_before_the_first_targets_waits_for_them() {
    let plane = start(2);
    let clients: Vec<_> = (0..100).map(|_| plane.connect()).collect();
    assert_eq!(plane.total(|count| &count.connections.active), 0, "they wait in the queue");
    plane.publish(vec![plane.healthy(serve(1))]);
    assert!(clients.iter().all(|client| ask(client).unwrap() == 1));
}

#[test]
fn who_comes_when_all_targets_are_withdrawn_gets_one_of_the_next() {
    let plane = start(1);
    let targets = [0, 1].map(|number| plane.healthy(serve(number)));
    for turn in 0..1000 {
        let next = turn % 2;
        plane.hold();
        let client = plane.connect();
        plane.publish(vec![targets[next].clone()]);
        assert_eq!(usize::from(ask(&client).unwrap()), next, "turn {turn}");
    }
}

#[test]
fn nobody_is_lost_while_targets_are_replaced_again_and_again() {
    let plane = start(2);
    let targets = [0, 1].map(|number| plane.healthy(serve(number)));
    let (is_over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    ask(&plane.connect()).unwrap();
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for turn in 0..300 {
            plane.hold();
            thread::yield_now();
            plane.publish(vec![targets[turn % 2].clone()]);
            let before = served.load(Ordering::Relaxed);
            wait_until("somebody is served", || served.load(Ordering::Relaxed) > before + 3);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(plane.total(|count| &count.connections.failed), 0);
}

#[test]
fn a_client_whose_target_is_not_reached_any_more_waits_for_the_next() {
    let plane = start(1);
    let (hangs, _listener, _queued) = full();
    plane.publish(vec![plane.healthy(hangs)]);
    let client = plane.connect();
    wait_until("it is connected for", || plane.total(|count| &count.connections.active) == 1);
    plane.hold();
    wait_until("the connect fails", || plane.total(|count| &count.connects.failed) == 1);
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert_eq!(ask(&client).unwrap_err().kind(), ErrorKind::WouldBlock, "it waits");
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    plane.publish(vec![plane.healthy(serve(7))]);
    assert_eq!(ask(&client).unwrap(), 7);
    assert_eq!(plane.total(|count| &count.connections.failed), 0);
}

#[test]
fn who_introduces_itself_while_clients_wait_waits_too() {
    let from = Some("127.0.0.0/8".parse().unwrap());
    let proxy_protocol = ProxyProtocol { from, ..ProxyProtocol::default() };
    let plane = Plane::start(1, &Settings { proxy_protocol, ..Settings::default() });
    plane.publish(vec![plane.healthy(serve(1))]);
    let mut client = plane.connect();
    wait_until("it is accepted", || plane.total(|count| &count.connections.active) == 1);
    plane.hold();
    client.write_all(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n").unwrap();
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert_eq!(ask(&client).unwrap_err().kind(), ErrorKind::WouldBlock, "it waits");
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    plane.publish(vec![plane.healthy(serve(2))]);
    assert_eq!(ask(&client).unwrap(), 2);
}

#[test]
fn who_has_waited_for_its_connect_may_leave() {
    let plane = start(1);
    let (hangs, _listener, _queued) = full();
    plane.publish(vec![plane.healthy(hangs)]);
    let leaves = plane.connect();
    let stays = plane.connect();
    wait_until("both are connected for", || plane.total(|count| &count.connections.active) == 2);
    plane.hold();
    wait_until("the connects fail", || plane.total(|count| &count.connects.failed) == 2);
    SockRef::from(&leaves).set_linger(Some(Duration::ZERO)).unwrap();
    drop(leaves);
    wait_until("one has left", || plane.total(|count| &count.connections.active) == 1);
    plane.publish(vec![plane.healthy(serve(1))]);
    assert_eq!(ask(&stays).unwrap(), 1);
}

#[test]
fn an_answer_without_targets_ends_the_waiting() {
    let plane = start(1);
    let client = plane.connect();
    plane.publish(Vec::new());
    assert_eq!(ask(&client).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn the_end_does_not_wait_for_those_who_wait() {
    let settings = Settings { shutdown_timeout: PATIENCE, ..Settings::default() };
    let mut plane = Plane::start(2, &settings);
    let clients: Vec<_> = (0..20).map(|_| plane.connect()).collect();
    let began = Instant::now();
    plane.stop();
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    for client in clients {
        assert_eq!(ask(&client).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
}
