//! What a core knows of its targets when a client comes, between real sockets.

#![allow(clippy::unwrap_used, reason = "a test")]

mod start;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use dataplane::{DataPlane, Settings};
use exchange::{Entry, Publisher, Snapshot, Target, TargetCounters, TargetState};
use start::{Started, start};

/// A core, and two targets that say which one they are.
struct Plane {
    running: Option<DataPlane>,
    address: SocketAddr,
    publisher: Publisher,
    entries: Vec<Entry>,
}

impl Plane {
    fn start() -> Self {
        let settings = Settings { shutdown_timeout: Duration::ZERO, ..Settings::default() };
        let Started { running, address, publisher, .. } = start(1, &settings);
        let entries = [0, 1].map(|number| {
            let target = Arc::new(Target::at(serve(number)));
            Entry::new(target, Arc::new(TargetCounters::new(1)))
        });
        Self { running: Some(running), address, publisher, entries: entries.into() }
    }

    /// From now on only this one is used.
    fn use_only(&mut self, number: u8) {
        for (index, entry) in self.entries.iter_mut().enumerate() {
            entry.eligible = index == usize::from(number);
            entry.state = if entry.eligible { TargetState::Healthy } else { TargetState::Draining };
        }
        let entries = self.entries.clone();
        let snapshot = Snapshot { entries, settled: true, ..Snapshot::default() };
        self.publisher.publish(&Arc::new(snapshot));
    }

    /// Who serves the next client.
    fn ask(&self) -> u8 {
        let mut client = TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut answer = [0];
        client.read_exact(&mut answer).unwrap();
        answer[0]
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        if let Some(plane) = self.running.take() {
            plane.stop_accepting();
            plane.join();
        }
    }
}

/// A server that says `number` to everyone.
fn serve(number: u8) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.write_all(&[number]);
        }
    });
    address
}

#[test]
fn who_comes_after_a_target_was_withdrawn_does_not_get_it() {
    let mut plane = Plane::start();
    let mut late = 0;
    for turn in 0..2000 {
        let number = u8::from(turn % 2 == 0);
        plane.use_only(number);
        late += u32::from(plane.ask() != number);
    }
    assert_eq!(late, 0, "of 2,000 clients got a target that was withdrawn before they came");
}
