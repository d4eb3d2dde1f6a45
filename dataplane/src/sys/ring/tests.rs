use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::super::socket::send_queue_bytes;
use super::buffers::BUFFER_SIZE;
use super::*;

const KEY: Key = Key { slot: 7, generation: 9 };

fn pair() -> (TcpStream, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0.into())
}

fn wait(ring: &mut Ring) -> Vec<Completion> {
    let mut completions = Vec::new();
    for _ in 0..100 {
        ring.wait(Duration::from_millis(100)).unwrap();
        ring.completions(&mut completions);
        if !completions.is_empty() {
            break;
        }
    }
    completions
}

#[test]
fn what_is_received_can_be_sent_on() {
    let mut ring = Ring::new().unwrap();
    let (mut near, far) = pair();
    near.write_all(b"hello").unwrap();
    ring.receive((KEY, Side::Client), &far, true, false);
    let completions = wait(&mut ring);
    let [
        Completion::Received {
            key: KEY,
            from: Side::Client,
            result: Ok((5, Some(buffer))),
            more: true,
        },
    ] = completions[..]
    else {
        panic!("{completions:?}")
    };
    ring.send((KEY, Side::Client), &far, Piece { buffer, start: 1, end: 5 });
    let completions = wait(&mut ring);
    assert!(matches!(completions[..], [Completion::Sent { result: Ok(4), .. }]), "{completions:?}");
    let mut answer = [0; 4];
    near.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"ello");
}

#[test]
fn receives_go_on_after_buffers_ran_out() {
    let mut ring = Ring::new().unwrap();
    let (mut near, far) = pair();
    let sent: Vec<u8> = (0..3_000_000u32).map(|index| (index % 251) as u8).collect();
    let writer = std::thread::spawn({
        let sent = sent.clone();
        move || near.write_all(&sent).map(|()| near)
    });
    // Buffers are held until the end, so that far more are needed than are on offer at first.
    let mut held = Vec::new();
    let mut received = 0;
    let mut ran_out = 0;
    ring.receive((KEY, Side::Client), &far, true, false);
    while received < sent.len() {
        for completion in wait(&mut ring) {
            let Completion::Received { result, more, .. } = completion else { panic!() };
            match result {
                Ok((bytes, Some(buffer))) => {
                    held.push(buffer);
                    received += bytes as usize;
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    ran_out += 1;
                    assert!(ring.buffers().grow() > 0);
                }
                other => panic!("{other:?}"),
            }
            if !more {
                ring.receive((KEY, Side::Client), &far, true, false);
            }
        }
    }
    drop(writer.join().unwrap());
    assert!(ran_out > 0 && held.len() > 64, "{ran_out} {}", held.len());
    let distinct: std::collections::HashSet<_> = held.iter().collect();
    assert_eq!(distinct.len(), held.len(), "a buffer was on offer while in use");
}

#[test]
fn few_buffers_circulate_while_few_are_needed() {
    let mut ring = Ring::new().unwrap();
    let (mut near, far) = pair();
    ring.receive((KEY, Side::Client), &far, true, false);
    let mut seen = std::collections::HashSet::new();
    for _ in 0..500 {
        near.write_all(b"x").unwrap();
        for completion in wait(&mut ring) {
            let Completion::Received { result: Ok((1, Some(buffer))), more: true, .. } = completion
            else {
                panic!("{completion:?}")
            };
            seen.insert(buffer);
            ring.buffers().recycle(buffer);
        }
    }
    assert!(seen.len() <= 17, "{}", seen.len());
}

#[test]
fn buffers_that_rest_give_their_memory_back() {
    let mut ring = Ring::new().unwrap();
    let (mut near, far) = pair();
    ring.receive((KEY, Side::Client), &far, true, false);
    let mut held = Vec::new();
    while held.len() < 15 {
        near.write_all(&[7; 100]).unwrap();
        for completion in wait(&mut ring) {
            let Completion::Received { result: Ok((_, Some(buffer))), .. } = completion else {
                panic!("{completion:?}")
            };
            held.push(buffer);
        }
    }
    let first = held[0];
    assert_eq!(ring.buffers.first_byte(first), 7);
    for buffer in held {
        ring.buffers().recycle(buffer);
    }
    ring.wait(Duration::ZERO).unwrap();
    ring.buffers().shrink();
    assert_eq!(ring.buffers.first_byte(first), 7, "it was in use a moment ago");
    ring.buffers().shrink();
    assert_eq!(ring.buffers.first_byte(first), 0);
}

#[test]
fn a_cancelled_receive_says_so() {
    let mut ring = Ring::new().unwrap();
    let (_near, far) = pair();
    ring.receive((KEY, Side::Client), &far, true, false);
    ring.wait(Duration::from_millis(1)).unwrap();
    ring.cancel(Kind::Receive, KEY, Side::Client);
    let completions = wait(&mut ring);
    let [Completion::Received { result: Err(error), more: false, .. }] = &completions[..] else {
        panic!("{completions:?}")
    };
    assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
}

#[test]
fn more_is_submitted_than_the_queue_holds() {
    let mut ring = Ring::new().unwrap();
    let (_near, far) = pair();
    for slot in 0..5000 {
        ring.watch(Key { slot, generation: 0 }, Side::Client, &far);
    }
    for slot in 0..5000 {
        ring.cancel(Kind::Watch, Key { slot, generation: 0 }, Side::Client);
    }
    let mut ended = 0;
    while ended < 5000 {
        ended += wait(&mut ring).len();
    }
    assert_eq!(ended, 5000);
}

#[test]
fn the_send_queue_is_seen_to_empty() {
    let (mut near, far) = pair();
    let mut far = TcpStream::from(far);
    far.set_nonblocking(true).unwrap();
    let mut sent = 0;
    while let Ok(bytes) = far.write(&vec![1; 65536]) {
        sent += bytes;
    }
    let far = OwnedFd::from(far);
    assert!(send_queue_bytes(&far) > 0);
    near.read_exact(&mut vec![0; sent]).unwrap();
    while send_queue_bytes(&far) > 0 {
        std::thread::yield_now();
    }
    assert_eq!(BUFFER_SIZE, 16384);
}

#[test]
fn a_watch_sees_a_reset_after_a_fin() {
    let mut ring = Ring::new().unwrap();
    let (near, far) = pair();
    near.shutdown(std::net::Shutdown::Write).unwrap();
    ring.watch(KEY, Side::Client, &far);
    let completions = wait(&mut ring);
    let [Completion::Watched { result: Ok(events), more: true, .. }] = completions[..] else {
        panic!("{completions:?}")
    };
    let error = u32::from(libc::POLLERR.unsigned_abs());
    assert_eq!(events & error, 0);
    socket2::SockRef::from(&near).set_linger(Some(Duration::ZERO)).unwrap();
    drop(near);
    let completions = wait(&mut ring);
    let Some(Completion::Watched { result: Ok(events), .. }) = completions.last() else {
        panic!("{completions:?}")
    };
    assert_ne!(events & error, 0);
}

#[test]
fn what_is_written_into_a_buffer_is_sent_and_what_is_received_can_be_read() {
    let mut ring = Ring::new().unwrap();
    let (mut near, far) = pair();
    let bytes: Vec<u8> = (0..BUFFER_SIZE).map(|byte| byte.to_le_bytes()[0]).collect();
    let piece = ring.buffers().write(&bytes).unwrap();
    ring.send((KEY, Side::Client), &far, piece);
    assert!(matches!(wait(&mut ring)[..], [Completion::Sent { result: Ok(16384), .. }]));
    ring.buffers().recycle(piece.buffer);
    let mut arrived = vec![0; bytes.len()];
    near.read_exact(&mut arrived).unwrap();
    assert!(arrived == bytes);

    near.write_all(b"hello").unwrap();
    ring.receive((KEY, Side::Client), &far, false, false);
    let completions = wait(&mut ring);
    let [Completion::Received { result: Ok((5, Some(buffer))), .. }] = completions[..] else {
        panic!("{completions:?}");
    };
    let mut read = b"> ".to_vec();
    ring.buffers().read(Piece { buffer, start: 1, end: 5 }, &mut read);
    assert_eq!(read, b"> ello");
}
