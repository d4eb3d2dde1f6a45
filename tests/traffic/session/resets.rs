use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::session::pair::Stage;
use testkit::net::Noise;
use testkit::net::stream::{
    assert_next_is_reset, read_to_end, reset, wait_for_reset_after_fin, wait_until_acknowledged,
};
use testkit::wait::wait_until;

/// How long a reset may take at most. A balancer that waited for the next byte to notice would
/// never pass it on.
const PROMPTLY: Duration = Duration::from_secs(2);

/// What a reader is sent, and how much of it is under way when the sender resets.
const LENGTH: usize = 8_000_000;
const HELD_BACK: usize = 300_000;
/// What every kernel takes for a client that reads nothing; 6.1 takes no more than 97,664 bytes.
const UNREAD: usize = 60_000;

#[test]
fn a_reset_arrives_as_one_after_the_bytes_before_it() {
    let stage = Stage::new();
    let noise = Noise::new();
    for client_resets in [true, false] {
        for length in [0, 1, 100_000] {
            let (resetting, other) = stage.pair().in_order(client_resets);
            noise.send(&resetting, length).unwrap();
            // The reset itself would throw away what was not acknowledged yet.
            wait_until_acknowledged(&resetting);
            let started = Instant::now();
            reset(resetting);
            let (received, end) = noise.receive(&other);
            assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
            assert_eq!(received, length);
            assert!(started.elapsed() < PROMPTLY);
        }
    }
    stage.wait_until_empty();
}

#[test]
fn a_reset_waits_for_a_slow_reader_of_megabytes() {
    let stage = Stage::new();
    let noise = Noise::new();
    // Made before: a reader that makes them first reads nothing for so long, on a slow machine, that
    // it is given up.
    let expected = noise.bytes(LENGTH + 100_000);
    for client_resets in [true, false] {
        let (resetting, other) = stage.pair().in_order(client_resets);
        let is_reset = AtomicBool::new(false);
        thread::scope(|scope| {
            let reader = scope.spawn(|| read_slowly(&other, &expected, &is_reset));
            noise.send(&resetting, LENGTH).unwrap();
            wait_until_acknowledged(&resetting);
            reset(resetting);
            is_reset.store(true, Ordering::SeqCst);
            assert_eq!(reader.join().unwrap(), (LENGTH, ErrorKind::ConnectionReset));
        });
    }
    stage.wait_until_empty();
}

/// Reads up to an error, the last bytes slowly and only after the reset: how many it read.
fn read_slowly(
    mut stream: &TcpStream,
    expected: &[u8],
    is_reset: &AtomicBool,
) -> (usize, ErrorKind) {
    let mut bytes = vec![0; 50_000];
    let mut position = 0;
    loop {
        if LENGTH - position < HELD_BACK {
            wait_until("the reset", || is_reset.load(Ordering::SeqCst));
            thread::sleep(Duration::from_millis(50));
        }
        match stream.read(&mut bytes) {
            Ok(0) => panic!("FIN instead of RST"),
            Ok(count) => {
                assert!(bytes[..count] == expected[position..position + count]);
                position += count;
            }
            Err(error) => return (position, error.kind()),
        }
    }
}

#[test]
fn a_reader_that_reads_nothing_is_reset_in_the_end() {
    let stage = Stage::new();
    let pair = stage.pair();
    // More than the target's kernel takes without anybody reading.
    let mut client = pair.client;
    client.set_nonblocking(true).unwrap();
    let bytes = Noise::new().bytes(65_536);
    wait_until("the way is full", || client.write(&bytes).is_err());
    reset(client);
    stage.wait_until_empty();
    assert_eq!(pair.target.take_error().unwrap().unwrap().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn after_a_fin_the_reset_of_the_same_side_arrives() {
    let stage = Stage::new();
    for (client_ends, pause) in [(true, 0), (false, 0), (true, 400), (false, 400)] {
        let pause = Duration::from_millis(pause);
        let (ending, other) = stage.pair().in_order(client_ends);
        ending.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_to_end(&other).unwrap(), b"");
        // The balancer begins to watch a side that it reads nothing from only after 100 ms; the
        // FIN, which poll(2) keeps showing, must not hide what comes later.
        thread::sleep(pause);
        let started = Instant::now();
        reset(ending);
        wait_for_reset_after_fin(&other);
        assert!(started.elapsed() < PROMPTLY, "{:?}", started.elapsed());
    }
    stage.wait_until_empty();
}

#[test]
fn after_a_fin_the_reset_of_the_other_side_arrives() {
    let stage = Stage::new();
    for client_ends in [true, false] {
        let (ending, other) = stage.pair().in_order(client_ends);
        ending.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_to_end(&other).unwrap(), b"");
        let started = Instant::now();
        reset(other);
        assert_next_is_reset(&ending);
        assert!(started.elapsed() < PROMPTLY, "{:?}", started.elapsed());
    }
    stage.wait_until_empty();
}

#[test]
fn after_a_fin_a_reset_arrives_behind_an_answer_that_is_read_late() {
    let stage = Stage::new();
    let noise = Noise::new();
    let pair = stage.pair();
    pair.client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&pair.target).unwrap(), b"");
    noise.send(&pair.target, UNREAD).unwrap();
    wait_until_acknowledged(&pair.target);
    reset(pair.target);
    stage.wait_until_empty();
    let (received, end) = noise.receive(&pair.client);
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(received, UNREAD);
}
