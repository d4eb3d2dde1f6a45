use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::thread;

use crate::BINARY;
use crate::session::pair::Stage;
use testkit::backend::RawTarget;
use testkit::net::Noise;
use testkit::net::stream::read_to_end;

const ANSWER_BYTES: usize = 100_000_000;

/// `first` asks and sends FIN; `second` answers at length.
fn ask_and_answer(first: &TcpStream, second: &TcpStream) {
    let noise = Noise::new();
    let question = noise.bytes(10_000);
    { first }.write_all(&question).unwrap();
    first.shutdown(Shutdown::Write).unwrap();
    assert!(read_to_end(second).unwrap() == question);
    thread::scope(|scope| {
        scope.spawn(|| {
            noise.send(second, ANSWER_BYTES).unwrap();
            second.shutdown(Shutdown::Write).unwrap();
        });
        let (received, end) = noise.receive(first);
        end.unwrap();
        assert_eq!(received, ANSWER_BYTES);
    });
}

#[test]
fn a_client_that_sent_fin_gets_its_answer_whole() {
    let stage = Stage::new();
    let pair = stage.pair();
    ask_and_answer(&pair.client, &pair.target);
    stage.wait_until_empty();
}

#[test]
fn a_target_that_sent_fin_gets_the_upload_whole() {
    let stage = Stage::new();
    let pair = stage.pair();
    ask_and_answer(&pair.target, &pair.client);
    stage.wait_until_empty();
}

#[test]
fn a_fin_before_the_connect_is_done_is_passed_on_after_it() {
    let mut target = RawTarget::blackhole();
    let balancer = BINARY.start(&[target.address], &[("POOL_TIMEOUT", "15s")]);
    let mut client = balancer.connect();
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    balancer.wait_for_count("active_connections", 1);
    assert_eq!(balancer.count("successful_connections_total"), 0);
    target.drain();
    let mut accepted = target.accept();
    assert_eq!(read_to_end(&accepted).unwrap(), b"question");
    accepted.write_all(b"answer").unwrap();
    drop(accepted);
    assert_eq!(read_to_end(&client).unwrap(), b"answer");
    balancer.wait_for_count("active_connections", 0);
    assert_eq!(balancer.count("successful_connections_total"), 1);
    assert_eq!(balancer.count("failed_connections_total"), 0);
}
