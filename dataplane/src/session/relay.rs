//! The way of the bytes between the two halves of a session, FIN and RST included.

use super::close_reason::CloseReason;
use super::event::Event;
use super::half::{Half, Onward, Receive, Send, Watch};
use super::op::Op;
use crate::flow::{Piece, Side};

/// Both halves of a session.
///
/// Bulk goes from socket to socket through a pipe (splice(2)) and never through user space; a pipe is
/// held only while there is something in it. A side that nothing is received from is watched: only so
/// is it noticed when its connection is gone.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    halves: [Half; 2],
    watch_pending: bool,
    /// The last bytes came from the client.
    client_spoke_last: bool,
}

impl Relay {
    /// One side's half.
    pub(crate) fn half(&self, side: Side) -> &Half {
        &self.halves[side as usize]
    }

    /// Grows (and wraps) with every byte received or sent. FIN counts as one, as it does in TCP's
    /// sequence numbers (RFC 9293, section 3.4).
    pub(crate) fn progress(&self) -> u32 {
        let of = |half: &Half| {
            let bytes = half.received_bytes.wrapping_add(half.sent_bytes);
            bytes.wrapping_add(half.end_of_stream.into())
        };
        let [client, target] = &self.halves;
        #[expect(clippy::cast_possible_truncation, reason = "wraps")]
        let progress = of(client).wrapping_add(of(target)) as u32;
        progress
    }

    /// Whether a side has sent FIN.
    pub(crate) fn is_half_closed(&self) -> bool {
        self.halves.iter().any(|half| half.end_of_stream)
    }

    /// Whether the target was first to end the connection, before it had sent a byte.
    pub(crate) fn is_unanswered(&self) -> bool {
        let target = self.half(Side::Target);
        // What had come before a reset may be received after it was noticed.
        target.ended_first && target.received_bytes == 0
    }

    /// Whether the connection can end without anybody missing anything: all that came was passed on,
    /// no side has begun to close, and it was not the client that spoke last, who would be waiting
    /// for the answer.
    pub(super) fn is_at_rest(&self) -> bool {
        !self.client_spoke_last && self.halves.iter().all(Half::is_at_rest)
    }

    /// Whether everything that `to` is ever going to get was handed to its socket.
    pub(super) fn is_delivered(&self, to: Side) -> bool {
        self.half(to.peer()).end_of_stream && self.half(to).has_sent_all()
    }

    /// Whether nothing is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.halves.iter().all(Half::is_idle)
    }

    pub(super) fn half_mut(&mut self, side: Side) -> &mut Half {
        &mut self.halves[side as usize]
    }

    /// A client has come that may have said something already.
    pub(super) fn open_client(&mut self, payload: Option<Piece>) {
        self.client_spoke_last = payload.is_some();
        let client = self.half_mut(Side::Client);
        client.open = true;
        if let Some(piece) = payload {
            client.received_bytes += piece.len() as u64;
            self.half_mut(Side::Target).outbox.push(piece);
        }
    }

    /// Takes an event about bytes. `is_ending`: nothing is passed on any more.
    pub(super) fn note(&mut self, event: Event, is_ending: bool, ops: &mut Vec<Op>) {
        match event {
            Event::Received { from, piece, full, more } => {
                let sizes = (full, more);
                self.note_received(from, piece, sizes, is_ending, ops);
            }
            Event::ReceiveStopped { from } => self.half_mut(from).receive = Receive::Off,
            Event::Sent { to, bytes } => self.note_sent(to, bytes, is_ending, ops),
            Event::SendFailed { to } => {
                self.half_mut(to).note_send_failed(to, ops);
                self.note_broken(to, is_ending, ops);
            }
            Event::SendStopped { to } => self.half_mut(to).note_sent(to, 0, ops),
            Event::Writable { to } => self.half_mut(to).note_writable(to, ops),
            Event::Filled { from, bytes, full } => self.note_filled(from, bytes, full, ops),
            Event::NotFilled { from } => {
                let half = self.half_mut(from);
                half.receive = Receive::Off;
                half.sizes.leave_splice();
            }
            Event::Drained { to, bytes } => self.half_mut(to).note_drained(to, bytes, ops),
            Event::Watched { side, error, more } => {
                if !more {
                    self.half_mut(side).watch = Watch::Off;
                }
                if error {
                    self.note_broken(side, is_ending, ops);
                }
            }
            Event::WatchDue => self.note_watch_due(is_ending, ops),
            event => debug_assert!(false, "{event:?} is not about bytes"),
        }
    }

    fn note_received(
        &mut self,
        from: Side,
        piece: Piece,
        (full, more): (bool, bool),
        is_ending: bool,
        ops: &mut Vec<Op>,
    ) {
        let unwanted = is_ending || self.half(from.peer()).broken;
        let behind = !self.half(from.peer()).outbox.is_empty();
        self.client_spoke_last = from == Side::Client;
        let half = self.half_mut(from);
        half.received_bytes += piece.len() as u64;
        half.sizes.note(full, behind);
        if !more {
            half.receive = Receive::Off;
        }
        if unwanted {
            ops.push(Op::Recycle { buffer: piece.buffer });
        } else {
            self.half_mut(from.peer()).outbox.push(piece);
        }
    }

    fn note_sent(&mut self, to: Side, bytes: usize, is_ending: bool, ops: &mut Vec<Op>) {
        // A send of all that is not cancelled ends short only by an error, which it takes off the
        // socket without telling: nothing else will tell of it either.
        let half = self.half_mut(to);
        let cut_short =
            half.send.is_on() && half.outbox.front().is_some_and(|piece| bytes < piece.len());
        half.note_sent(to, bytes, ops);
        if cut_short {
            self.note_broken(to, is_ending, ops);
        }
    }

    /// Something is there to be spliced: whether it is wanted.
    pub(super) fn note_readable(&mut self, from: Side, is_ending: bool, ops: &mut Vec<Op>) -> bool {
        let unwanted = is_ending || self.half(from.peer()).broken;
        let half = self.half_mut(from);
        let is_wanted = half.receive.is_on() && !unwanted;
        if is_wanted {
            // Goes on until the answer, which comes at once.
            ops.push(Op::Fill { from });
        } else {
            half.receive = Receive::Off;
        }
        is_wanted
    }

    fn note_filled(&mut self, from: Side, bytes: usize, full: bool, ops: &mut Vec<Op>) {
        self.client_spoke_last = from == Side::Client;
        let half = self.half_mut(from);
        half.receive = Receive::Off;
        half.received_bytes += bytes as u64;
        if !full {
            half.sizes.leave_splice();
        }
        let to = from.peer();
        let bytes = u32::try_from(bytes).expect("a pipe holds less than 4 GiB");
        self.half_mut(to).send = Send::Pipe { bytes, cancelling: false };
        ops.push(Op::Drain { to });
    }

    /// A side ends the connection, or its part of it.
    pub(super) fn note_first_end(&mut self, by: Side, is_ending: bool) {
        let peer = self.half(by.peer());
        let is_peer_there = peer.open && !peer.end_of_stream && !peer.broken;
        self.half_mut(by).ended_first |= is_peer_there && !is_ending;
    }

    /// The connection is gone: what is queued for it goes nowhere.
    pub(super) fn note_broken(&mut self, side: Side, is_ending: bool, ops: &mut Vec<Op>) {
        self.note_first_end(side, is_ending);
        let half = self.half_mut(side);
        half.broken = true;
        half.drop_unsent(side, ops);
        half.cancel_send(side, ops);
    }

    fn note_watch_due(&mut self, is_ending: bool, ops: &mut Vec<Op>) {
        self.watch_pending = false;
        if is_ending {
            return;
        }
        for side in Side::BOTH {
            let half = self.half_mut(side);
            if half.is_unwatched() {
                half.watch = Watch::On;
                ops.push(Op::Watch { side });
            }
        }
    }

    /// Passes on what can be; at most `held_max` pieces wait for either side.
    pub(super) fn advance(&mut self, held_max: usize, ops: &mut Vec<Op>) {
        for side in Side::BOTH {
            self.half_mut(side).start_send(side, ops);
            self.pass_end_of_stream(side, ops);
            let peer = self.half(side.peer());
            let onward = Onward {
                held: peer.outbox.len(),
                held_max,
                behind: !peer.has_sent_all(),
                broken: peer.broken,
            };
            self.half_mut(side).steer_receive(side, onward, ops);
        }
        if !self.watch_pending && self.halves.iter().any(Half::is_unwatched) {
            self.watch_pending = true;
            ops.push(Op::WatchLater);
        }
    }

    fn pass_end_of_stream(&mut self, to: Side, ops: &mut Vec<Op>) {
        let due = self.is_delivered(to) && !self.half(to.peer()).broken;
        let half = self.half_mut(to);
        if due && half.open && !half.broken && !half.shut {
            half.shut = true;
            ops.push(Op::ShutdownWrite { to });
        }
    }

    /// Takes back what waits for bytes or errors.
    pub(super) fn stop_listening(&mut self, ops: &mut Vec<Op>) {
        for side in Side::BOTH {
            let half = self.half_mut(side);
            half.cancel_receive(side, ops);
            half.cancel_watch(side, ops);
        }
    }

    /// Takes back everything that is in flight.
    pub(super) fn wind_down(&mut self, ops: &mut Vec<Op>) {
        for side in Side::BOTH {
            self.half_mut(side).wind_down(side, ops);
        }
    }

    /// Closes what is open; nothing may be in flight.
    pub(super) fn close(&mut self, reason: Option<CloseReason>, ops: &mut Vec<Op>) {
        let reset = !reason.is_some_and(CloseReason::is_by_fin);
        for side in Side::BOTH {
            let half = self.half_mut(side);
            if std::mem::take(&mut half.open) {
                ops.push(Op::Close { side, reset });
            }
        }
    }
}
