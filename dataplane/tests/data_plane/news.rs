//! What a core knows of its targets when a client comes, between real sockets.

use crate::plane::{Plane, listener};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use dataplane::Settings;
use exchange::{Eligibility, Entry};

/// A core, and two targets that say which one they are.
struct Core {
    plane: Plane,
    entries: [Entry; 2],
}

impl Core {
    fn start() -> Self {
        let settings = Settings { shutdown_timeout: Duration::ZERO, ..Settings::default() };
        let plane = Plane::start(1, &settings);
        let entries = [0, 1].map(|number| plane.entry(serve(number)));
        Self { plane, entries }
    }

    /// From now on only this one is used.
    fn use_only(&mut self, number: u8) {
        for (index, entry) in self.entries.iter_mut().enumerate() {
            let is_used = index == usize::from(number);
            let eligibility = if is_used { Eligibility::Full } else { Eligibility::None };
            *entry = entry.clone().with_eligibility(eligibility);
        }
        self.plane.publish(self.entries.to_vec());
    }

    /// Who serves the next client.
    fn ask(&self) -> u8 {
        let mut client = self.plane.connect();
        let mut answer = [0];
        client.read_exact(&mut answer).unwrap();
        answer[0]
    }
}

/// A server that says `number` to everyone.
fn serve(number: u8) -> SocketAddr {
    let listener = listener();
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
    let mut core = Core::start();
    let mut late = 0;
    for turn in 0..2000 {
        let number = u8::from(turn % 2 == 0);
        core.use_only(number);
        late += u32::from(core.ask() != number);
    }
    assert_eq!(late, 0, "of 2,000 clients got a target that was withdrawn before they came");
}
