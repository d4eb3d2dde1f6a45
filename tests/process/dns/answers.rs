//! Answers that no name server should give.

use std::net::{SocketAddr, UdpSocket};
use std::thread;

use super::follow;
use testkit::net::address::unique;
use testkit::net::port::Port;

/// Answers each question by `answer`, by UDP alone, until the process ends.
fn serve(answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> (SocketAddr, Port) {
    let port = Port::free();
    let socket = UdpSocket::bind((unique(), port.number())).unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut question = [0; 4096];
        while let Ok((length, client)) = socket.recv_from(&mut question) {
            // A client that is gone wants no answer.
            let _ = socket.send_to(&answer(&question[..length]), client);
        }
    });
    (address, port)
}

/// The answer's head and its question: with that many answers to follow (RFC 1035, 4.1).
fn head(question: &[u8], answers: u8) -> Vec<u8> {
    let name = question[12..].iter().position(|&byte| byte == 0).unwrap() + 12;
    let mut answer = question[..name + 5].to_vec();
    answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, answers, 0, 0, 0, 0]);
    answer
}

type Answer = fn(&[u8]) -> Vec<u8>;

#[test]
fn garbage_is_a_failed_try() {
    let garbage: [Answer; 4] = [
        |_| vec![0xff; 100],
        |_| Vec::new(),
        // The right head, and an answer that is cut.
        |question| [head(question, 1), vec![0xc0]].concat(),
        // A name that is a pointer to itself.
        |question| {
            let at = u8::try_from(head(question, 1).len()).unwrap();
            [head(question, 1), vec![0xc0, at, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1]].concat()
        },
    ];
    let followed = garbage.map(|answer| {
        let (server, port) = serve(answer);
        (follow(server, "workers.test"), port)
    });
    for (balancer, _) in &followed {
        balancer.wait_for_log("discovery: DNS name workers.test: ");
        balancer.wait_for_log("Meanwhile no target is known until then; it is tried again");
        assert_eq!(balancer.targets().len(), 0);
    }
}

#[test]
fn a_circle_of_aliases_is_a_failed_try() {
    // a.test is an alias of b.test, and that of a.test.
    let (server, _port) = serve(|question| {
        let other = if question[13] == b'a' { b'b' } else { b'a' };
        let record =
            [0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 1, 0, 8, 1, other, 4, b't', b'e', b's', b't', 0];
        [head(question, 1), record.to_vec()].concat()
    });
    let balancer = follow(server, "a.test");
    balancer.wait_for_log("a.test: its aliases (CNAME) go round in a circle");
    assert_eq!(balancer.targets().len(), 0);
}
