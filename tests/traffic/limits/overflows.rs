//! Connections that the kernel drops because a listen queue is full, and what else it drops there.

use std::fs;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, TcpStream};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use socket2::{Domain, Protocol, Socket, Type};

use crate::BINARY;
use testkit::backend::Backend;
use testkit::http::Client;
use testkit::net::namespace::Namespaces;
use testkit::net::stream::set_timeouts;
use testkit::skip::skip;
use testkit::wait::{wait_for, wait_until};

#[test]
fn connections_that_a_full_queue_drops_are_counted() {
    let backend = Backend::start();
    let environment = [("CORES", "1"), ("LISTEN_BACKLOG", "2")];
    let balancer = BINARY.start(&[backend.address], &environment);
    assert_eq!(balancer.count("listen_overflows_total"), 0);
    balancer.signal(Signal::STOP);
    // A backlog of 2 holds 3; a few may be accepted before the process has stopped. What comes when
    // the queue is full is dropped without a word.
    let waiting: Vec<_> = std::iter::from_fn(|| {
        TcpStream::connect_timeout(&balancer.address, Duration::from_millis(50)).ok()
    })
    .take(100)
    .collect();
    assert!((3..100).contains(&waiting.len()), "{}", waiting.len());
    balancer.signal(Signal::CONT);
    wait_until("overflows are counted", || balancer.count("listen_overflows_total") >= 1);
    for stream in waiting {
        set_timeouts(&stream);
        Client(stream).get("/").unwrap();
    }
}

/// Segments out of nowhere, and handshakes that are begun and then reset.
const STRAYS: u64 = 100;
const SYNS: u64 = 50;

#[test]
fn port_scans_are_no_overflows() {
    let namespaces = match Namespaces::new() {
        Ok(namespaces) => namespaces,
        Err(reason) => return skip(&format!("no network namespaces: {reason}")),
    };
    namespaces.near(|| {
        let backend = Backend::start();
        let environment = [("LISTEN_BACKLOG", "2")];
        let balancer = BINARY.start_on(Namespaces::NEAR, &[backend.address], &environment);
        let SocketAddr::V4(address) = balancer.address else { panic!("it is IPv4") };
        namespaces.far(|| scan(address));
        let dropped = wait_for("drops", || drops(address.port()), |drops| *drops >= STRAYS + SYNS);
        assert_eq!(overflows(), 0);

        // Where there are overflows as well, they alone count, over all cores.
        balancer.signal(Signal::STOP);
        let waiting: Vec<_> = (0..20)
            .filter_map(|_| {
                TcpStream::connect_timeout(&balancer.address, Duration::from_millis(50)).ok()
            })
            .collect();
        let expected = overflows();
        assert!(expected > 0, "{} were queued", waiting.len());
        balancer.signal(Signal::CONT);
        let counted = || balancer.count("listen_overflows_total");
        wait_for("overflows", counted, |counted| *counted >= expected);
        assert_eq!(counted(), expected, "of {dropped} drops before");
        assert_eq!(overflows(), expected);
    });
}

/// The namespace's `ListenOverflows`.
fn overflows() -> u64 {
    let netstat = fs::read_to_string("/proc/thread-self/net/netstat").unwrap();
    let lines: Vec<_> = netstat.lines().filter(|line| line.starts_with("TcpExt:")).collect();
    let mut columns = lines[0].split(' ').zip(lines[1].split(' '));
    columns.find(|(name, _)| *name == "ListenOverflows").unwrap().1.parse().unwrap()
}

/// What the kernel has dropped at the listeners on `port`, as ss(8) tells.
fn drops(port: u16) -> u64 {
    let ss = Command::new("ss").args(["-tlnm", &format!("sport = :{port}")]).output().unwrap();
    let text = String::from_utf8(ss.stdout).unwrap();
    let counts = text.split(",d").skip(1).map(|rest| rest.split(')').next().unwrap().parse());
    counts.map(|count: Result<u64, _>| count.unwrap()).sum()
}

/// What a port scanner sends.
fn scan(address: SocketAddrV4) {
    // With IPPROTO_RAW a packet brings its own IP header (raw(7)).
    let raw = Protocol::from(255);
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(raw)).unwrap();
    let IpAddr::V4(own) = Namespaces::FAR else { panic!("it is IPv4") };
    for number in 0..u16::try_from(STRAYS + SYNS).unwrap() {
        const FIN: u8 = 1;
        const SYN: u8 = 2;
        // This machine's kernel knows nothing of the connection that is offered, and resets it.
        let flags = if u64::from(number) < STRAYS { FIN } else { SYN };
        let from = SocketAddrV4::new(own, 20_000 + number);
        socket.send_to(&segment(from, address, flags), &address.into()).unwrap();
    }
}

/// A packet with a TCP segment of 20 bytes (RFC 791, 3.1; RFC 9293, 3.1). The kernel fills in the
/// checksum of the IP header.
fn segment(from: SocketAddrV4, to: SocketAddrV4, flags: u8) -> Vec<u8> {
    let mut tcp = Vec::new();
    for port in [from.port(), to.port()] {
        tcp.extend(port.to_be_bytes());
    }
    // Numbers of sequence and acknowledgement, 5 words, a window.
    tcp.extend([0, 0, 0, 1, 0, 0, 0, 1, 5 << 4, flags, 4, 0, 0, 0, 0, 0]);
    let addresses = [from.ip().octets(), to.ip().octets()].concat();
    let summed = [&addresses[..], &[0, 6, 0, 20], &tcp].concat();
    let mut sum: u32 =
        summed.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let checksum = !u16::try_from(sum).unwrap();
    tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
    let ip = [0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0];
    [&ip[..], &addresses, &tcp].concat()
}
