use crate::flow::Side;
use crate::session::{Event, HeaderProgress};

/// The header that the client has to begin with.
#[derive(Debug)]
pub(super) struct ClientHeader {
    bytes: u64,
    left: u64,
    is_bad: bool,
    is_over: bool,
}

impl ClientHeader {
    pub(super) fn new(rng: &mut fastrand::Rng, client_is_there: bool) -> Self {
        let bytes = if client_is_there && rng.bool() { rng.u64(1..=60) } else { 0 };
        Self { bytes, left: bytes, is_bad: rng.u8(..8) == 0, is_over: bytes == 0 }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn is_complete(&self) -> bool {
        self.is_over
    }

    /// Reads the header's part of what was received, as long as there is one.
    pub(super) fn read(&mut self, event: Event) -> Event {
        let Event::Received { from: Side::Client, mut piece, more, .. } = event else {
            return event;
        };
        if self.is_over {
            return event;
        }
        let taken = self.left.min(piece.len() as u64);
        self.left -= taken;
        piece.start += u16::try_from(taken).expect("less than a buffer");
        let progress = match self.left {
            0 if self.is_bad => HeaderProgress::Refused,
            0 => HeaderProgress::Complete,
            _ => HeaderProgress::Incomplete,
        };
        self.is_over = progress == HeaderProgress::Complete;
        Event::ProxyHeader { piece, progress, more }
    }
}
