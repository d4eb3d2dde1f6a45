use std::collections::VecDeque;

use super::Op;
use crate::flow::{Piece, Side};

/// Whether an operation is in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Activity {
    #[default]
    Off,
    On,
    /// In flight, and its cancellation was asked for.
    Cancelling,
}

/// After so many small receives in a row a side counts as interactive: until then it may as well be
/// the beginning of something large.
const INTERACTIVE_AFTER: u8 = 3;

/// After so many receives in a row that filled their buffers, 128 KiB, a side is spliced from: that
/// moves pages instead of bytes, but costs more for each move.
const SPLICE_AFTER: u8 = 8;

/// The state of one side's connection.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "the term of the field")]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with its own use")]
pub(super) struct End {
    /// What is to be sent to this side; while `send` is not off, the first piece is in flight.
    pub(super) outbox: Outbox,
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
    pub(super) receive: Activity,
    pub(super) send: Activity,
    pub(super) watch: Activity,
    /// Whether the receive in flight is a multishot one.
    pub(super) multishot: bool,
    /// Whether the receive in flight is a wait for something to splice.
    pub(super) splicing: bool,
    /// Whether the send in flight is out of the pipe.
    pub(super) draining: bool,
    /// Bytes in the pipe to this side; none while something is in the outbox.
    pub(super) piped_bytes: usize,
    pub(super) receive_started: bool,
    /// There is a connection that was not closed yet.
    pub(super) open: bool,
    /// Nothing more comes from this side.
    pub(super) end_of_stream: bool,
    /// The connection is gone; what its socket still holds can be read, nothing can be sent.
    pub(super) broken: bool,
    /// It ended, in one of these ways, before the other side did.
    pub(super) ended_first: bool,
    /// FIN was sent to this side.
    pub(super) shut: bool,
    /// How often in a row, up to `INTERACTIVE_AFTER`, it said little and it was passed on at once.
    small_in_a_row: u8,
    /// How often in a row, up to `SPLICE_AFTER`, it filled a buffer.
    full_in_a_row: u8,
}

impl Default for End {
    fn default() -> Self {
        Self {
            outbox: Outbox::default(),
            received_bytes: 0,
            sent_bytes: 0,
            receive: Activity::Off,
            send: Activity::Off,
            watch: Activity::Off,
            multishot: false,
            splicing: false,
            draining: false,
            piped_bytes: 0,
            receive_started: false,
            open: false,
            end_of_stream: false,
            broken: false,
            ended_first: false,
            shut: false,
            small_in_a_row: 0,
            full_in_a_row: 0,
        }
    }
}

impl End {
    pub(super) fn note_end_of_stream(&mut self) {
        self.receive = Activity::Off;
        self.end_of_stream = true;
    }

    /// `full`: a receive filled its buffer; `behind`: what came before it is not sent yet.
    pub(super) fn note_size(&mut self, full: bool, behind: bool) {
        if full {
            self.note_bulk();
            self.full_in_a_row = (self.full_in_a_row + 1).min(SPLICE_AFTER);
            return;
        }
        self.full_in_a_row = 0;
        if !behind {
            self.small_in_a_row = (self.small_in_a_row + 1).min(INTERACTIVE_AFTER);
        }
    }

    pub(super) fn note_bulk(&mut self) {
        self.small_in_a_row = 0;
    }

    pub(super) fn is_worth_splicing(&self) -> bool {
        self.full_in_a_row == SPLICE_AFTER
    }

    /// Waits for something to splice, in a receive's place.
    pub(super) fn start_splice(&mut self, side: Side, ops: &mut Vec<Op>) {
        self.multishot = false;
        self.splicing = true;
        self.receive = Activity::On;
        ops.push(Op::AwaitReadable { from: side });
    }

    /// Receives into buffers again, until it fills as many of them as before.
    pub(super) fn leave_splice(&mut self) {
        self.full_in_a_row = 0;
    }

    pub(super) fn is_interactive(&self) -> bool {
        self.small_in_a_row == INTERACTIVE_AFTER
    }

    pub(super) fn note_sent(&mut self, side: Side, bytes: usize, ops: &mut Vec<Op>) {
        self.send = Activity::Off;
        self.draining = false;
        self.sent_bytes += bytes as u64;
        if let Some(buffer) = self.outbox.advance(bytes) {
            ops.push(Op::Recycle { buffer });
        }
        if self.broken {
            self.drop_unsent(side, ops);
        }
    }

    /// Gives back every buffer of the outbox that is not in flight, and the pipe.
    pub(super) fn drop_unsent(&mut self, side: Side, ops: &mut Vec<Op>) {
        if std::mem::take(&mut self.piped_bytes) > 0 {
            ops.push(Op::DiscardPipe { to: side });
        }
        let in_flight = if self.send == Activity::Off { None } else { self.outbox.pop() };
        while let Some(piece) = self.outbox.pop() {
            ops.push(Op::Recycle { buffer: piece.buffer });
        }
        if let Some(piece) = in_flight {
            self.outbox.push(piece);
        }
    }

    pub(super) fn cancel_receive(&mut self, side: Side, ops: &mut Vec<Op>) {
        if self.receive == Activity::On {
            self.receive = Activity::Cancelling;
            ops.push(Op::CancelReceive { from: side });
        }
    }

    pub(super) fn cancel_send(&mut self, side: Side, ops: &mut Vec<Op>) {
        if self.send == Activity::On {
            self.send = Activity::Cancelling;
            ops.push(Op::CancelSend { to: side });
        }
    }

    pub(super) fn cancel_watch(&mut self, side: Side, ops: &mut Vec<Op>) {
        if self.watch == Activity::On {
            self.watch = Activity::Cancelling;
            ops.push(Op::CancelWatch { side });
        }
    }

    /// Takes back whatever is in flight and gives up what was not sent.
    pub(super) fn wind_down(&mut self, side: Side, ops: &mut Vec<Op>) {
        self.cancel_receive(side, ops);
        self.cancel_send(side, ops);
        self.cancel_watch(side, ops);
        self.drop_unsent(side, ops);
    }

    /// Whether everything that came from the peer was handed to this side's socket.
    pub(super) fn has_sent_all(&self) -> bool {
        self.outbox.is_empty() && self.send == Activity::Off
    }

    /// Whether nothing is in flight.
    pub(super) fn is_idle(&self) -> bool {
        [self.receive, self.send, self.watch] == [Activity::Off; 3]
    }

    /// Whether the connection could be lost without any operation noticing.
    pub(super) fn is_unwatched(&self) -> bool {
        self.open && !self.broken && self.receive == Activity::Off && self.watch == Activity::Off
    }
}

/// Pieces in the order in which they are to be sent. The first one needs no memory of its own:
/// most sessions never have a second.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    first: Option<Piece>,
    rest: VecDeque<Piece>,
}

impl Outbox {
    pub(super) fn push(&mut self, piece: Piece) {
        if self.first.is_none() {
            self.first = Some(piece);
        } else {
            self.rest.push_back(piece);
        }
    }

    /// Puts `piece` before all others; none of them may be in flight.
    pub(super) fn push_front(&mut self, piece: Piece) {
        if let Some(second) = self.first.replace(piece) {
            self.rest.push_front(second);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Piece> {
        let piece = self.first.take()?;
        self.first = self.rest.pop_front();
        Some(piece)
    }

    pub(super) fn front(&self) -> Option<Piece> {
        self.first
    }

    /// Takes `bytes` off the first piece; its buffer if that was all of it.
    pub(super) fn advance(&mut self, bytes: usize) -> Option<u16> {
        let first = self.first.as_mut()?;
        let sent = u16::try_from(bytes).unwrap_or(u16::MAX).min(first.end - first.start);
        first.start += sent;
        if first.start < first.end { None } else { self.pop().map(|piece| piece.buffer) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }
}
