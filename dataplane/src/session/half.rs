//! One side's connection: what is in flight for it, and what it still has to get.

mod outbox;
mod receive;
mod send;
mod sizes;
mod watch;

use super::op::Op;
use crate::flow::Side;
use outbox::Outbox;
pub(super) use receive::Receive;
pub(super) use send::Send;
use sizes::Sizes;
pub(super) use watch::Watch;

/// Pieces read from one side and not yet sent to the other, above which reading pauses. Two: one
/// being sent while the next is being received.
pub(super) const PIECES_HELD_MAX: usize = 2;

/// One of the two halves of a session.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with its own use")]
pub(crate) struct Half {
    /// What is to be sent to this side; while a piece is being sent, it is the first one.
    pub(super) outbox: Outbox,
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
    pub(super) receive: Receive,
    pub(super) send: Send,
    pub(super) watch: Watch,
    pub(super) sizes: Sizes,
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
}

/// What the other half means for receiving from this one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Onward {
    /// Pieces that wait to be sent.
    pub(super) held: usize,
    /// With as many no further receive begins.
    pub(super) held_max: usize,
    /// Not everything was handed to its socket.
    pub(super) behind: bool,
    /// Nothing can be sent to it any more.
    pub(super) broken: bool,
}

impl Half {
    /// Bytes received from this side.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// Whether the connection was reset or lost.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether a receive's completion is the end of [`Op::AwaitReadable`].
    pub(crate) fn awaits_readable(&self) -> bool {
        matches!(self.receive, Receive::Splice { .. })
    }

    /// Whether a send's completion is the end of [`Op::AwaitWritable`].
    pub(crate) fn awaits_writable(&self) -> bool {
        matches!(self.send, Send::Pipe { .. })
    }

    /// Whether nothing is received from this side although it may have more to say.
    pub(crate) fn is_held_up(&self) -> bool {
        self.watch != Watch::Off && self.receive.is_off() && !self.end_of_stream
    }

    pub(super) fn note_end_of_stream(&mut self) {
        self.receive = Receive::Off;
        self.end_of_stream = true;
    }

    /// Sends what comes next, if nothing is being sent.
    pub(super) fn start_send(&mut self, to: Side, ops: &mut Vec<Op>) {
        if self.send != Send::Off || !self.open || self.broken {
            return;
        }
        if let Some(piece) = self.outbox.front() {
            self.send = Send::Piece { cancelling: false };
            ops.push(Op::Send { to, piece });
        }
    }

    /// A send has ended that queued so many bytes.
    pub(super) fn note_sent(&mut self, side: Side, bytes: usize, ops: &mut Vec<Op>) {
        self.send = Send::Off;
        self.sent_bytes += bytes as u64;
        if let Some(buffer) = self.outbox.advance(bytes) {
            ops.push(Op::Recycle { buffer });
        }
        if self.broken {
            self.drop_unsent(side, ops);
        }
    }

    /// A send has ended with an error, or what emptied the pipe has.
    pub(super) fn note_send_failed(&mut self, side: Side, ops: &mut Vec<Op>) {
        if self.send.give_up_pipe() {
            ops.push(Op::DiscardPipe { to: side });
        }
        self.send = Send::Off;
    }

    /// So many bytes have left the pipe.
    pub(super) fn note_drained(&mut self, to: Side, drained: usize, ops: &mut Vec<Op>) {
        self.sent_bytes += drained as u64;
        let Send::Pipe { bytes, .. } = &mut self.send else {
            debug_assert!(false, "{self:?} has no pipe");
            return;
        };
        *bytes = bytes.saturating_sub(u32::try_from(drained).unwrap_or(u32::MAX));
        if *bytes > 0 {
            ops.push(Op::AwaitWritable { to });
        } else {
            self.send = Send::Off;
        }
    }

    /// There is room for what is in the pipe.
    pub(super) fn note_writable(&mut self, to: Side, ops: &mut Vec<Op>) {
        if matches!(self.send, Send::Pipe { bytes: 1.., cancelling: false }) {
            ops.push(Op::Drain { to });
        } else {
            self.send = Send::Off;
        }
    }

    /// Begins to receive, goes on or stops, as the other half needs it.
    pub(super) fn steer_receive(&mut self, from: Side, onward: Onward, ops: &mut Vec<Op>) {
        match self.receive {
            Receive::NotYet | Receive::Off => {
                if self.open && !self.end_of_stream && !onward.broken {
                    self.start_receive(from, onward, ops);
                }
            }
            Receive::Buffers { cancelling: true, .. } | Receive::Splice { cancelling: true } => {}
            Receive::Buffers { multishot, .. } => {
                let bulk_held = onward.held > 0 && !self.sizes.is_interactive();
                let too_much = multishot && (bulk_held || onward.held > PIECES_HELD_MAX);
                self.stop_receive_if(onward.broken || too_much, from, ops);
            }
            Receive::Splice { .. } => self.stop_receive_if(onward.broken, from, ops),
        }
    }

    fn start_receive(&mut self, from: Side, onward: Onward, ops: &mut Vec<Op>) {
        if self.sizes.is_worth_splicing() {
            // What was received into buffers goes first.
            if !onward.behind {
                self.receive = Receive::Splice { cancelling: false };
                ops.push(Op::AwaitReadable { from });
            }
        } else if onward.held < onward.held_max {
            // One wake of a multishot receive may take dozens of buffers.
            let multishot = self.sizes.is_interactive();
            let idle = from == Side::Target && self.receive == Receive::NotYet;
            self.receive = Receive::Buffers { multishot, cancelling: false };
            ops.push(Op::Receive { from, multishot, idle });
        }
    }

    fn stop_receive_if(&mut self, is_due: bool, from: Side, ops: &mut Vec<Op>) {
        if is_due {
            self.sizes.note_bulk();
            self.cancel_receive(from, ops);
        }
    }

    /// Gives back every buffer of the outbox that is not in flight, and the pipe.
    pub(super) fn drop_unsent(&mut self, side: Side, ops: &mut Vec<Op>) {
        if self.send.give_up_pipe() {
            ops.push(Op::DiscardPipe { to: side });
        }
        let is_sending = matches!(self.send, Send::Piece { .. });
        let in_flight = if is_sending { self.outbox.pop() } else { None };
        while let Some(piece) = self.outbox.pop() {
            ops.push(Op::Recycle { buffer: piece.buffer });
        }
        if let Some(piece) = in_flight {
            self.outbox.push(piece);
        }
    }

    pub(super) fn cancel_receive(&mut self, side: Side, ops: &mut Vec<Op>) {
        if self.receive.cancel() {
            ops.push(Op::CancelReceive { from: side });
        }
    }

    pub(super) fn cancel_send(&mut self, side: Side, ops: &mut Vec<Op>) {
        if self.send.cancel() {
            ops.push(Op::CancelSend { to: side });
        }
    }

    pub(super) fn cancel_watch(&mut self, side: Side, ops: &mut Vec<Op>) {
        if self.watch == Watch::On {
            self.watch = Watch::Cancelling;
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
        self.outbox.is_empty() && self.send == Send::Off
    }

    /// Whether nothing is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.receive.is_off() && self.send == Send::Off && self.watch == Watch::Off
    }

    /// Whether the connection could be lost without any operation noticing.
    pub(super) fn is_unwatched(&self) -> bool {
        self.open && !self.broken && self.receive.is_off() && self.watch == Watch::Off
    }

    /// Whether all that was to be sent to it was, and it has not begun to close.
    pub(super) fn is_at_rest(&self) -> bool {
        self.open && !(self.broken || self.end_of_stream || self.shut) && self.has_sent_all()
    }
}
