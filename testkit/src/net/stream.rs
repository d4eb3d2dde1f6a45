//! Connections, and how they end.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::wait::{PATIENCE, wait_until};

/// A connection whose operations give up in the end.
pub fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    set_timeouts(&stream);
    Ok(stream)
}

/// As [`connect`], from this address; its port may be 0.
pub fn connect_from(source: SocketAddr, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Or else a port in TIME_WAIT towards any address could not be had (socket(7)).
    socket.set_reuse_address(true)?;
    socket.bind(&source.into())?;
    socket.connect_timeout(&address.into(), PATIENCE)?;
    let stream = TcpStream::from(socket);
    set_timeouts(&stream);
    Ok(stream)
}

/// Has its operations give up in the end.
pub fn set_timeouts(stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
}

/// Bytes arrive in both directions.
pub fn assert_alive(client: &TcpStream, target: &TcpStream) {
    for (mut from, mut to) in [(client, target), (target, client)] {
        from.write_all(b"x").unwrap();
        to.read_exact(&mut [0]).unwrap();
    }
}

/// The connection ends by RST.
pub fn assert_next_is_reset(mut stream: &TcpStream) {
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

/// Closes by RST.
pub fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// All bytes up to FIN.
pub fn read_to_end(mut stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map(|_| bytes)
}

/// Waits for a RST on a connection that has been read to its FIN: reads say nothing any more.
pub fn wait_for_reset_after_fin(stream: &TcpStream) {
    wait_until("a reset after the FIN", || {
        let error = stream.take_error().unwrap();
        // EPIPE is what a RST after FIN becomes: tcp_reset() in net/ipv4/tcp_input.c.
        error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    });
}

/// Waits until the peer's kernel has acknowledged all that was sent.
pub fn wait_until_acknowledged(stream: &TcpStream) {
    wait_until("all bytes acknowledged", || unacknowledged(stream) == Some(0));
}

/// Bytes that the peer's kernel has not acknowledged yet, from proc(5)'s `net/tcp`.
fn unacknowledged(stream: &TcpStream) -> Option<u32> {
    // Both in full: connections to other addresses may have the same two ports.
    let ends = [stream.local_addr(), stream.peer_addr()].map(|end| in_proc(end.unwrap()));
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = lines.find(|line| line[1..3] == ends)?;
    u32::from_str_radix(line[4].split_once(':')?.0, 16).ok()
}

fn in_proc(address: SocketAddr) -> String {
    let IpAddr::V4(ip) = address.ip() else { panic!("{address} is in another table") };
    format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port())
}
