use std::collections::VecDeque;

use crate::flow::Side;

/// The byte that `side` writes at `index` of its stream.
pub(super) fn pattern(side: Side, index: u64) -> u8 {
    ((index + 1 + side as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

/// What headers for the target consist of.
pub(super) const HEADER_BYTE: u8 = 0xA5;

/// One side's application together with its connection to the balancer, as the fake kernel sees
/// it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub(super) struct Application {
    side: Side,
    /// What it still wants to write, and what then follows.
    to_write: u64,
    leaves_by: Leave,
    /// Chance in 256 that it reads when it could.
    eagerness: u8,
    written: u64,
    fin_sent: bool,
    reset: bool,
    /// The balancer's socket has not told of the reset yet.
    pub(super) error_pending: bool,
    /// Bytes in the balancer's receive queue: the last so many of what was written.
    pub(super) inbound: u64,
    /// The balancer's send queue.
    outbound: VecDeque<u8>,
    read: u64,
    /// Bytes that come before what the peer wrote, and how many of the peer's never come.
    header_bytes: u64,
    skipped_bytes: u64,
    end_of_stream_queued: bool,
    saw_reset: bool,
    pub(super) closed: bool,
}

/// What an application does when it has written all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// Sends FIN, reads on.
    Fin,
    /// Sends FIN once it has seen the other side's.
    FinAfterPeer,
    /// Sends FIN, and RST some time later.
    FinThenReset,
    /// Sends RST.
    Reset,
}

impl Application {
    pub(super) fn new(side: Side, rng: &mut fastrand::Rng) -> Self {
        let sizes = [0, 1, 15, 16, 17, 40, 200, 900, 2500];
        let ways = [Leave::Fin, Leave::Fin, Leave::FinAfterPeer, Leave::FinThenReset, Leave::Reset];
        Self {
            side,
            to_write: sizes[rng.usize(..sizes.len())],
            leaves_by: ways[rng.usize(..ways.len())],
            eagerness: [0, 8, 60, 255][(rng.u8(..) as usize + 16).min(255) / 64],
            written: 0,
            fin_sent: false,
            reset: false,
            error_pending: false,
            inbound: 0,
            outbound: VecDeque::new(),
            read: 0,
            header_bytes: 0,
            skipped_bytes: 0,
            end_of_stream_queued: false,
            saw_reset: false,
            closed: false,
        }
    }

    /// Expects a header of so many bytes, then what the peer wrote without its first
    /// `skipped_bytes`.
    pub(super) fn expect(&mut self, header_bytes: u64, skipped_bytes: u64) {
        (self.header_bytes, self.skipped_bytes) = (header_bytes, skipped_bytes);
    }

    /// Does one thing that an application may do now.
    pub(super) fn act(&mut self, rng: &mut fastrand::Rng) {
        if self.reset || self.saw_reset {
            return;
        }
        if rng.bool() {
            if rng.u8(..) < self.eagerness {
                let count = rng.u64(1..=40).min(self.outbound.len() as u64);
                self.take(count);
            }
        } else if self.to_write > 0 && !self.fin_sent {
            let count = rng.u64(1..=self.to_write.min(70));
            self.to_write -= count;
            self.written += count;
            self.inbound += count;
        } else if !self.closed {
            self.leave(rng);
        }
    }

    pub(super) fn is_slow(&self) -> bool {
        self.eagerness < u8::MAX || self.leaves_by == Leave::FinAfterPeer
    }

    pub(super) fn leave(&mut self, rng: &mut fastrand::Rng) {
        match self.leaves_by {
            Leave::Fin => self.fin_sent = true,
            Leave::FinAfterPeer => self.fin_sent |= self.saw_end_of_stream(),
            Leave::FinThenReset if !self.fin_sent => self.fin_sent = true,
            Leave::FinThenReset | Leave::Reset => {
                if rng.u8(..8) == 0 {
                    self.reset = true;
                    self.error_pending = true;
                    self.outbound.clear();
                }
            }
        }
    }

    fn take(&mut self, count: u64) {
        for _ in 0..count {
            let byte = self.outbound.pop_front().expect("count is bounded by the length");
            let expected = match self.read.checked_sub(self.header_bytes) {
                None => HEADER_BYTE,
                Some(index) => pattern(self.side.peer(), index + self.skipped_bytes),
            };
            assert_eq!(byte, expected, "wrong byte at {}", self.read);
            self.read += 1;
        }
    }

    /// Reads all there is.
    pub(super) fn drain(&mut self) {
        self.take(self.outbound.len() as u64);
    }

    /// The index of the next byte that the balancer receives from here.
    pub(super) fn next_inbound(&self) -> u64 {
        self.written - self.inbound
    }

    pub(super) fn has_sent_fin(&self) -> bool {
        self.fin_sent
    }

    /// Whether nothing comes from it after what is queued.
    pub(super) fn has_ended(&self) -> bool {
        self.fin_sent || self.reset
    }

    pub(super) fn has_reset(&self) -> bool {
        self.reset
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn read(&self) -> u64 {
        self.read
    }

    pub(super) fn skipped(&self) -> u64 {
        self.skipped_bytes
    }

    /// What it has read after the header.
    pub(super) fn read_payload(&self) -> u64 {
        self.read.saturating_sub(self.header_bytes)
    }

    pub(super) fn saw_end_of_stream(&self) -> bool {
        self.end_of_stream_queued && self.outbound.is_empty()
    }

    pub(super) fn saw_reset(&self) -> bool {
        self.saw_reset
    }

    pub(super) fn send_queue(&self) -> usize {
        self.outbound.len()
    }

    /// Bytes are queued to be sent to the application.
    pub(super) fn queue(&mut self, bytes: &[u8]) {
        assert!(!self.end_of_stream_queued, "sent after FIN to the {:?}", self.side);
        self.outbound.extend(bytes);
    }

    pub(super) fn queue_end_of_stream(&mut self) {
        assert!(!self.end_of_stream_queued, "two FINs to the {:?}", self.side);
        self.end_of_stream_queued = true;
    }

    /// The balancer closes its end.
    pub(super) fn close(&mut self, reset: bool) {
        assert!(!self.closed, "the {:?}'s descriptor is closed twice", self.side);
        self.closed = true;
        if self.reset {
            return;
        }
        if reset {
            self.outbound.clear();
            self.saw_reset = true;
        } else {
            assert_eq!(self.inbound, 0, "closing with unread bytes sends RST, not FIN");
            self.end_of_stream_queued = true;
        }
    }
}
