//! One client connection and the target connection it is forwarded to, as a pure state machine:
//! events in, operations out. It does no I/O and reads no clock; time it has to wait for comes
//! back as an event.
//!
//! After every event the operations are derived from the state as a whole ([`Session::advance`]),
//! not from the event: whatever order things happen in, the same state asks for the same
//! operations.

mod close_reason;
mod event;
mod half;
mod measure;
mod op;
mod preconnect;
mod proxy_header;
mod rebalance;
mod splice;
#[cfg(test)]
mod tests;
mod unanswered;
mod watch;

use crate::flow::{Piece, Side};
pub(crate) use close_reason::Ending;
pub(crate) use event::Event;
use half::{Activity, End};
use measure::Measure;
pub(crate) use op::Op;
use preconnect::Ahead;
pub(crate) use proxy_header::Preface;
use rebalance::Retiring;
pub(crate) use watch::WATCH_DELAY;

/// Pieces read from one side and not yet sent to the other, above which reading pauses. Two: one
/// being sent while the next is being received.
const HELD_PIECES_MAX: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connect {
    /// The client has to say who it is first.
    NotYet,
    InFlight,
    Cancelling,
    Done,
    Failed,
}

#[derive(Debug)]
pub(crate) struct Session {
    ends: [End; 2],
    ahead: Ahead,
    connect: Connect,
    connects_left: u8,
    ending: Option<Ending>,
    finished: bool,
    watch_pending: bool,
    /// The last bytes came from the client.
    client_spoke_last: bool,
    retiring: Retiring,
    measure: Option<Measure>,
}

impl Session {
    /// A session for a client that was just accepted. At most `connects_max` targets will be connected.
    pub(crate) fn accepted(connects_max: u8, ops: &mut Vec<Op>) -> Self {
        let mut session = Self::new(connects_max);
        session.end_mut(Side::Client).open = true;
        session.start_connect(ops);
        session.advance(ops);
        session
    }

    /// A session without any side or operation yet.
    fn new(connects_max: u8) -> Self {
        Self {
            ends: [End::default(), End::default()],
            ahead: Ahead::No,
            connect: Connect::NotYet,
            connects_left: connects_max,
            ending: None,
            finished: false,
            watch_pending: false,
            client_spoke_last: false,
            retiring: Retiring::No,
            measure: None,
        }
    }

    /// Takes an event and appends the operations that follow from it.
    pub(crate) fn handle(&mut self, event: Event, ops: &mut Vec<Op>) {
        debug_assert!(!self.finished, "{event:?} after the session's end");
        self.note(event, ops);
        self.advance(ops);
    }

    /// Whether the side's connection was reset or lost.
    pub(crate) fn is_broken(&self, side: Side) -> bool {
        self.end(side).broken
    }

    /// Whether the target was connected.
    pub(crate) fn is_connected(&self) -> bool {
        self.connect == Connect::Done
    }

    /// Whether the session is over.
    #[cfg(test)]
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Why the session ends, once that is known.
    pub(crate) fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Bytes received from a side.
    pub(crate) fn received_bytes(&self, from: Side) -> u64 {
        self.end(from).received_bytes
    }

    /// Grows (and wraps) with every byte received or sent. FIN counts as one, as it does in TCP's
    /// sequence numbers (RFC 9293, section 3.4).
    pub(crate) fn progress(&self) -> u32 {
        let of = |end: &End| {
            let bytes = end.received_bytes.wrapping_add(end.sent_bytes);
            bytes.wrapping_add(end.end_of_stream.into())
        };
        let [client, target] = &self.ends;
        #[expect(clippy::cast_possible_truncation, reason = "wraps")]
        let progress = of(client).wrapping_add(of(target)) as u32;
        progress
    }

    /// Whether a side has sent FIN.
    pub(crate) fn is_half_closed(&self) -> bool {
        self.ends.iter().any(|end| end.end_of_stream)
    }

    fn end(&self, side: Side) -> &End {
        &self.ends[side as usize]
    }

    fn end_mut(&mut self, side: Side) -> &mut End {
        &mut self.ends[side as usize]
    }

    fn note(&mut self, event: Event, ops: &mut Vec<Op>) {
        match event {
            Event::Prefaced { piece, preface, more } => {
                self.note_prefaced(piece, preface, more, ops);
            }
            Event::Refused => self.ending = self.ending.or(Some(Ending::Refused)),
            Event::Header { piece } => self.note_header(piece),
            Event::ClientArrived { payload, connects_max } => {
                self.note_client_arrived(payload, connects_max);
            }
            Event::Unwanted => self.note_unwanted(),
            Event::Connected => {
                self.connect = Connect::Done;
                self.end_mut(Side::Target).open = true;
            }
            Event::ConnectFailed => self.note_connect_failed(ops),
            Event::ConnectRevoked => {
                self.connects_left = self.connects_left.saturating_add(1);
                self.note_connect_failed(ops);
            }
            Event::NoTarget => self.connect = Connect::Failed,
            Event::Received { from, piece, full, more } => {
                self.note_received(from, piece, full, more, ops);
            }
            Event::EndOfStream { from } => {
                self.end_mut(from).note_end_of_stream();
                if !self.replace_if_lost(from, ops) {
                    self.note_first_end(from);
                }
            }
            Event::ReceiveFailed { from } => {
                self.end_mut(from).note_end_of_stream();
                if !self.replace_if_lost(from, ops) {
                    self.note_broken(from, ops);
                }
            }
            Event::ReceiveStopped { from } => self.end_mut(from).receive = Activity::Off,
            Event::Sent { to, bytes } => {
                // A send of all that is not cancelled ends short only by an error, which it takes
                // off the socket without telling: nothing else will tell of it either.
                let end = self.end_mut(to);
                let cut_short = end.send == Activity::On
                    && end.outbox.front().is_some_and(|piece| bytes < piece.len());
                end.note_sent(to, bytes, ops);
                if cut_short {
                    self.note_broken(to, ops);
                }
            }
            Event::SendFailed { to } => {
                let end = self.end_mut(to);
                end.send = Activity::Off;
                end.draining = false;
                self.note_broken(to, ops);
            }
            Event::SendStopped { to } => self.end_mut(to).note_sent(to, 0, ops),
            Event::Readable { from } => self.note_readable(from, ops),
            Event::Writable { to } => self.note_writable(to, ops),
            Event::Filled { from, bytes, full } => self.note_filled(from, bytes, full, ops),
            Event::NotFilled { from } => self.note_not_filled(from),
            Event::Drained { to, bytes } => self.note_drained(to, bytes, ops),
            Event::Watched { side, error, more } => self.note_watched(side, error, more, ops),
            Event::WatchDue => self.note_watch_due(ops),
            Event::SendQueue { to, bytes } => self.note_send_queue(to, bytes),
            Event::Retire => self.note_retire(),
            Event::Inspected { is_empty } => self.note_inspected(is_empty),
            Event::IdleTimeout { stuck } => {
                let ending = stuck.map_or(Ending::IdleTimeout, Ending::Stuck);
                self.ending = self.ending.or(Some(ending));
            }
            Event::Abort(cause) => self.ending = self.ending.or(Some(Ending::Aborted(cause))),
        }
    }

    fn start_connect(&mut self, ops: &mut Vec<Op>) {
        self.connect = Connect::InFlight;
        self.connects_left = self.connects_left.saturating_sub(1);
        ops.push(Op::Connect);
    }

    fn note_connect_failed(&mut self, ops: &mut Vec<Op>) {
        let wanted =
            self.connect == Connect::InFlight && self.ending.is_none() && !self.awaits_client();
        if wanted && self.connects_left > 0 {
            self.start_connect(ops);
        } else {
            self.connect = Connect::Failed;
        }
    }

    fn note_received(
        &mut self,
        from: Side,
        piece: Piece,
        full: bool,
        more: bool,
        ops: &mut Vec<Op>,
    ) {
        let unwanted = self.ending.is_some() || self.end(from.peer()).broken;
        let behind = !self.end(from.peer()).outbox.is_empty();
        self.client_spoke_last = from == Side::Client;
        let end = self.end_mut(from);
        end.received_bytes += piece.len() as u64;
        end.note_size(full, behind);
        if !more {
            end.receive = Activity::Off;
        }
        if unwanted {
            ops.push(Op::Recycle { buffer: piece.buffer });
        } else {
            self.end_mut(from.peer()).outbox.push(piece);
        }
    }

    /// The connection is gone: what is queued for it goes nowhere.
    fn note_broken(&mut self, side: Side, ops: &mut Vec<Op>) {
        self.note_first_end(side);
        let end = self.end_mut(side);
        end.broken = true;
        end.drop_unsent(side, ops);
        end.cancel_send(side, ops);
    }

    fn advance(&mut self, ops: &mut Vec<Op>) {
        if self.ending.is_none() {
            self.settle(ops);
        }
        if self.is_retiring() && self.ending.is_none() {
            self.retire(ops);
        }
        if self.ending.is_none() {
            if self.is_retiring() {
                return;
            }
            for side in Side::BOTH {
                self.start_send(side, ops);
                self.pass_end_of_stream(side, ops);
                self.steer_receive(side, ops);
            }
            self.ask_for_watch(ops);
        } else if !self.finished {
            self.wind_down(ops);
        }
    }

    /// Decides whether the session has come to its end.
    fn settle(&mut self, ops: &mut Vec<Op>) {
        if self.awaits_client() {
            return self.settle_unclaimed();
        }
        let [client, target] = &self.ends;
        let client_is_gone = client.broken && (target.broken || target.outbox.is_empty());
        self.ending = match self.connect {
            Connect::NotYet | Connect::Failed if client.broken => Some(Ending::ClientReset),
            Connect::NotYet if client.end_of_stream => Some(Ending::Refused),
            Connect::Failed => Some(Ending::NoTarget),
            // What was read before the client's RST is still connected for and delivered.
            Connect::InFlight if client_is_gone => Some(Ending::ClientReset),
            Connect::Done if client.broken && target.broken => Some(Ending::ClientReset),
            Connect::Done if client.broken || target.broken => return self.settle_broken(ops),
            Connect::Done if Side::BOTH.iter().all(|&to| self.is_delivered(to)) => {
                Some(Ending::Complete)
            }
            _ => None,
        };
    }

    /// Whether everything that `to` is ever going to get was handed to its socket.
    fn is_delivered(&self, to: Side) -> bool {
        let end = self.end(to);
        self.end(to.peer()).end_of_stream && end.has_sent_all()
    }

    fn start_send(&mut self, to: Side, ops: &mut Vec<Op>) {
        let end = self.end_mut(to);
        if end.send != Activity::Off || !end.open || end.broken {
            return;
        }
        if let Some(piece) = end.outbox.front() {
            end.send = Activity::On;
            ops.push(Op::Send { to, piece });
        }
    }

    fn pass_end_of_stream(&mut self, to: Side, ops: &mut Vec<Op>) {
        let due = self.is_delivered(to) && !self.end(to.peer()).broken;
        let end = self.end_mut(to);
        if due && end.open && !end.broken && !end.shut {
            end.shut = true;
            ops.push(Op::ShutdownWrite { to });
        }
    }

    fn steer_receive(&mut self, from: Side, ops: &mut Vec<Op>) {
        let peer = self.end(from.peer());
        let (held, unwanted, behind) = (peer.outbox.len(), peer.broken, !peer.has_sent_all());
        let held_max = self.held_pieces_max();
        let end = self.end_mut(from);
        match end.receive {
            Activity::Off if !end.open || end.end_of_stream || unwanted => {}
            Activity::Off if end.is_worth_splicing() => {
                // What was received into buffers goes first.
                if !behind {
                    end.start_splice(from, ops);
                }
            }
            Activity::Off => {
                if held < held_max {
                    // One wake of a multishot receive may take dozens of buffers.
                    let multishot = end.is_interactive();
                    let idle = from == Side::Target && !end.receive_started;
                    end.receive_started = true;
                    end.multishot = multishot;
                    end.splicing = false;
                    end.receive = Activity::On;
                    ops.push(Op::Receive { from, multishot, idle });
                }
            }
            Activity::On => {
                let bulk_held = held > 0 && !end.is_interactive();
                let too_much = end.multishot && (bulk_held || held > HELD_PIECES_MAX);
                if unwanted || too_much {
                    end.note_bulk();
                    end.cancel_receive(from, ops);
                }
            }
            Activity::Cancelling => {}
        }
    }

    /// Takes back everything that is in flight; closes when nothing is left.
    fn wind_down(&mut self, ops: &mut Vec<Op>) {
        for side in Side::BOTH {
            self.end_mut(side).wind_down(side, ops);
        }
        if self.connect == Connect::InFlight {
            self.connect = Connect::Cancelling;
            ops.push(Op::CancelConnect);
        }
        if self.connect == Connect::Cancelling || !self.ends.iter().all(End::is_idle) {
            return;
        }
        let by_fin = [Ending::Complete, Ending::Rebalanced, Ending::GivenUp, Ending::Broken];
        let reset = !self.ending.is_some_and(|ending| by_fin.contains(&ending));
        for side in Side::BOTH {
            let end = self.end_mut(side);
            if end.open {
                end.open = false;
                ops.push(Op::Close { side, reset });
            }
        }
        self.finished = true;
        ops.push(Op::Finish);
    }
}
