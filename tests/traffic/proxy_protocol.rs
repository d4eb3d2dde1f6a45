//! PROXY protocol headers on real connections.

mod accepting;
mod haproxy;
mod sending;

use std::io::Read;
use std::net::{SocketAddr, TcpStream};

use crate::BINARY;
use testkit::backend::RawTarget;
use testkit::balancer::Balancer;

/// The header of version 1 over IPv4.
fn line(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let ips = format!("{} {}", source.ip().to_canonical(), destination.ip().to_canonical());
    format!("PROXY TCP4 {ips} {} {}\r\n", source.port(), destination.port()).into_bytes()
}

/// The header of version 2 over IPv4, with `fields`.
fn binary(source: SocketAddr, destination: SocketAddr, fields: &[u8]) -> Vec<u8> {
    let ends = [source, destination];
    let mut block = Vec::new();
    for end in ends {
        let std::net::IpAddr::V4(ip) = end.ip().to_canonical() else { panic!("{end}") };
        block.extend(ip.octets());
    }
    block.extend(ends.iter().flat_map(|end| end.port().to_be_bytes()));
    block.extend(fields);
    with_block(0x21, 0x11, &block)
}

fn with_block(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
    bytes.extend(block);
    bytes
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn read_exactly(mut stream: &TcpStream, bytes: usize) -> Vec<u8> {
    let mut read = vec![0; bytes];
    stream.read_exact(&mut read).unwrap();
    read
}

/// A balancer for one target whose connections the test holds, each of them a client's.
fn start(environment: &[(&str, &str)]) -> (Balancer, RawTarget) {
    let target = RawTarget::start();
    let environment = [environment, &[("POOL_SIZE", "0")]].concat();
    (BINARY.start(&[target.address], &environment), target)
}
