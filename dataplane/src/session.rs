//! One client connection and the target connection it is forwarded to, as a pure state machine:
//! events in, operations out. It does no I/O and reads no clock; time it has to wait for comes
//! back as an event.
//!
//! After every event the operations are derived from the state as a whole ([`Session::advance`]),
//! not from the event: whatever order things happen in, the same state asks for the same
//! operations.

mod end;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::time::Duration;

use end::{Activity, End};

/// Pieces read from one side and not yet sent to the other, above which reading pauses. Two: one
/// being sent while the next is being received.
const HELD_PIECES_MAX: usize = 2;
/// Between two looks at the send queue of a connection that is to be reset: doubles from the first
/// to the last value.
const MEASURE_INTERVAL_MIN_MS: u16 = 1;
const MEASURE_INTERVAL_MAX_MS: u16 = 64;
/// How long a peer of a broken connection may take no byte before it is reset all the same.
const STALL_MAX_MS: u16 = 5000;

/// One of the two connections of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client = 0,
    Target = 1,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Client, Self::Target];

    pub(crate) fn peer(self) -> Self {
        match self {
            Self::Client => Self::Target,
            Self::Target => Self::Client,
        }
    }
}

/// Bytes `start..end` of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) buffer: u16,
    pub(crate) start: u16,
    pub(crate) end: u16,
}

impl Piece {
    pub(crate) fn len(self) -> usize {
        usize::from(self.end - self.start)
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The dial succeeded: the target's side is open.
    Dialled,
    /// The dial failed or was cancelled; nothing is left of it.
    DialFailed,
    /// There is no (further) target to dial.
    NoTarget,
    /// Bytes arrived; `full`: they filled a buffer; `more`: the receive goes on.
    Received { from: Side, piece: Piece, full: bool, more: bool },
    /// The side sent FIN; the receive has ended.
    EndOfStream { from: Side },
    /// The receive ended with an error: the connection is gone.
    ReceiveFailed { from: Side },
    /// The receive ended without saying anything about the connection (cancelled, out of buffers).
    ReceiveStopped { from: Side },
    /// The send ended; `bytes` were queued: all that was asked for, or fewer if it was cancelled or
    /// the connection is gone.
    Sent { to: Side, bytes: usize },
    /// The send ended with an error: the connection is gone.
    SendFailed { to: Side },
    /// The send was cancelled before it queued a byte.
    SendStopped { to: Side },
    /// The watch saw something; `error`: the connection is gone; `more`: the watch goes on.
    Watched { side: Side, error: bool, more: bool },
    /// [`Op::WatchLater`] is due.
    WatchDue,
    /// [`Op::MeasureSendQueue`] is due: `bytes` queued to `to` were not acknowledged yet.
    SendQueue { to: Side, bytes: usize },
    /// End now, by resets.
    Abort,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Dial a target not tried before: `Dialled`, `DialFailed` or `NoTarget` follows.
    Dial,
    /// End the dial: `DialFailed` or `Dialled` follows.
    CancelDial,
    /// Receive once, or for as long as it goes. `idle`: nothing can have arrived yet.
    Receive { from: Side, multishot: bool, idle: bool },
    /// End the receive: its last event follows.
    CancelReceive { from: Side },
    /// Send all of the piece.
    Send { to: Side, piece: Piece },
    /// End the send: `Sent`, `SendFailed` or `SendStopped` follows.
    CancelSend { to: Side },
    /// Watch for errors on a side that nothing is received from, until cancelled: `Watched` each.
    Watch { side: Side },
    /// End the watch: a last `Watched` follows.
    CancelWatch { side: Side },
    /// Come back with `WatchDue` after [`WATCH_DELAY`].
    WatchLater,
    /// Send FIN; nothing is sent after it.
    ShutdownWrite { to: Side },
    /// The buffer is free again.
    Recycle { buffer: u16 },
    /// After the delay, come back with `SendQueue`.
    MeasureSendQueue { to: Side, delay: Duration },
    /// Close, by RST if `reset`. No operation of the side is in flight.
    Close { side: Side, reset: bool },
    /// The session is over and holds nothing any more.
    Finish,
}

/// How long nothing may be received from a side before errors on it are watched for: sides that
/// pause for an instant only, as they do all the time, shouldn't cost an operation each time.
pub(crate) const WATCH_DELAY: Duration = Duration::from_millis(100);

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Both sides sent FIN and have all bytes.
    Complete,
    /// The client's connection was reset or lost.
    ClientReset,
    /// The target's connection was reset or lost.
    TargetReset,
    /// No target could be dialled.
    NoTarget,
    /// Ended from outside.
    Aborted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dial {
    InFlight,
    Cancelling,
    Done,
    Failed,
}

#[derive(Debug)]
pub(crate) struct Session {
    ends: [End; 2],
    dial: Dial,
    dials_left: u8,
    ending: Option<Ending>,
    finished: bool,
    watch_pending: bool,
    measure: Option<Measure>,
}

/// The wait for the last bytes to arrive before a reset.
#[derive(Clone, Copy, Debug, Default)]
struct Measure {
    under_way: bool,
    interval_ms: u16,
    stalled_ms: u16,
    acknowledged_bytes: u64,
}

impl Session {
    /// A session for a client that was just accepted. At most `dials_max` targets will be dialled.
    pub(crate) fn accepted(dials_max: u8, ops: &mut Vec<Op>) -> Self {
        let mut session = Self {
            ends: [End::default(), End::default()],
            dial: Dial::InFlight,
            dials_left: dials_max.saturating_sub(1),
            ending: None,
            finished: false,
            watch_pending: false,
            measure: None,
        };
        session.end_mut(Side::Client).open = true;
        ops.push(Op::Dial);
        session.advance(ops);
        session
    }

    /// Takes an event and appends the operations that follow from it.
    pub(crate) fn handle(&mut self, event: Event, ops: &mut Vec<Op>) {
        debug_assert!(!self.finished, "{event:?} after the session's end");
        self.note(event, ops);
        self.advance(ops);
    }

    /// Whether the target was dialled.
    pub(crate) fn is_dialled(&self) -> bool {
        self.dial == Dial::Done
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

    fn end(&self, side: Side) -> &End {
        &self.ends[side as usize]
    }

    fn end_mut(&mut self, side: Side) -> &mut End {
        &mut self.ends[side as usize]
    }

    fn note(&mut self, event: Event, ops: &mut Vec<Op>) {
        match event {
            Event::Dialled => {
                self.dial = Dial::Done;
                self.end_mut(Side::Target).open = true;
            }
            Event::DialFailed => self.note_dial_failed(ops),
            Event::NoTarget => self.dial = Dial::Failed,
            Event::Received { from, piece, full, more } => {
                self.note_received(from, piece, full, more, ops);
            }
            Event::EndOfStream { from } => self.end_mut(from).note_end_of_stream(),
            Event::ReceiveFailed { from } => {
                self.end_mut(from).note_end_of_stream();
                self.note_broken(from, ops);
            }
            Event::ReceiveStopped { from } => self.end_mut(from).receive = Activity::Off,
            Event::Sent { to, bytes } => {
                // A send of all that is not cancelled ends short only by an error, which it takes
                // off the socket without telling: nothing else will tell of it either.
                let end = self.end_mut(to);
                let cut_short = end.send == Activity::On
                    && end.outbox.front().is_some_and(|piece| bytes < piece.len());
                end.note_sent(bytes, ops);
                if cut_short {
                    self.note_broken(to, ops);
                }
            }
            Event::SendFailed { to } => {
                self.end_mut(to).send = Activity::Off;
                self.note_broken(to, ops);
            }
            Event::SendStopped { to } => self.end_mut(to).note_sent(0, ops),
            Event::Watched { side, error, more } => {
                if !more {
                    self.end_mut(side).watch = Activity::Off;
                }
                if error {
                    self.note_broken(side, ops);
                }
            }
            Event::WatchDue => self.note_watch_due(ops),
            Event::SendQueue { to, bytes } => self.note_send_queue(to, bytes),
            Event::Abort => self.ending = self.ending.or(Some(Ending::Aborted)),
        }
    }

    fn note_dial_failed(&mut self, ops: &mut Vec<Op>) {
        let wanted = self.dial == Dial::InFlight && self.ending.is_none();
        if wanted && self.dials_left > 0 {
            self.dials_left -= 1;
            ops.push(Op::Dial);
        } else {
            self.dial = Dial::Failed;
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
        let end = self.end_mut(side);
        end.broken = true;
        end.drop_unsent(ops);
        end.cancel_send(side, ops);
    }

    fn note_watch_due(&mut self, ops: &mut Vec<Op>) {
        self.watch_pending = false;
        if self.ending.is_some() {
            return;
        }
        for side in Side::BOTH {
            let end = self.end_mut(side);
            if end.is_unwatched() {
                end.watch = Activity::On;
                ops.push(Op::Watch { side });
            }
        }
    }

    fn note_send_queue(&mut self, to: Side, bytes: usize) {
        let delivered = self.is_delivered(to);
        // What is left of a send in flight is queued but not counted as sent: wraps, no matter.
        let acknowledged_bytes = self.end(to).sent_bytes.wrapping_sub(bytes as u64);
        let Some(measure) = &mut self.measure else { return };
        if acknowledged_bytes == measure.acknowledged_bytes {
            measure.stalled_ms += measure.interval_ms;
        } else {
            measure.stalled_ms = 0;
            measure.acknowledged_bytes = acknowledged_bytes;
        }
        if (delivered && bytes == 0) || measure.stalled_ms >= STALL_MAX_MS {
            self.ending = self.ending.or(Some(reset_by(to.peer())));
        } else {
            measure.interval_ms =
                (measure.interval_ms * 2).clamp(MEASURE_INTERVAL_MIN_MS, MEASURE_INTERVAL_MAX_MS);
            measure.under_way = false; // asked for anew in `settle_broken`
        }
    }

    fn advance(&mut self, ops: &mut Vec<Op>) {
        if self.ending.is_none() {
            self.settle(ops);
        }
        if self.ending.is_none() {
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
        let [client, target] = &self.ends;
        let client_is_gone = client.broken && (target.broken || target.outbox.is_empty());
        self.ending = match self.dial {
            Dial::Failed if client.broken => Some(Ending::ClientReset),
            Dial::Failed => Some(Ending::NoTarget),
            // What was read before the client's RST is still dialled for and delivered.
            Dial::InFlight if client_is_gone => Some(Ending::ClientReset),
            Dial::Done if client.broken && target.broken => Some(Ending::ClientReset),
            Dial::Done if client.broken || target.broken => return self.settle_broken(ops),
            Dial::Done if Side::BOTH.iter().all(|&to| self.is_delivered(to)) => {
                Some(Ending::Complete)
            }
            _ => None,
        };
    }

    /// One side is gone. The other is reset as soon as it has all bytes read from the first; a
    /// reset throws away what the other's peer has not acknowledged, so that is waited for.
    fn settle_broken(&mut self, ops: &mut Vec<Op>) {
        let to = if self.end(Side::Client).broken { Side::Target } else { Side::Client };
        let measure = self.measure.get_or_insert_default();
        if !measure.under_way {
            measure.under_way = true;
            let delay = Duration::from_millis(u64::from(measure.interval_ms));
            ops.push(Op::MeasureSendQueue { to, delay });
        }
    }

    /// Whether everything that `to` is ever going to get was handed to its socket.
    fn is_delivered(&self, to: Side) -> bool {
        let end = self.end(to);
        self.end(to.peer()).end_of_stream && end.outbox.is_empty() && end.send == Activity::Off
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
        let (held, unwanted) = (peer.outbox.len(), peer.broken);
        let end = self.end_mut(from);
        match end.receive {
            Activity::Off => {
                if end.open && !end.end_of_stream && !unwanted && held < HELD_PIECES_MAX {
                    // One wake of a multishot receive may take dozens of buffers.
                    let multishot = end.is_interactive();
                    let idle = from == Side::Target && !end.receive_started;
                    end.receive_started = true;
                    end.multishot = multishot;
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

    fn ask_for_watch(&mut self, ops: &mut Vec<Op>) {
        if !self.watch_pending && self.ends.iter().any(End::is_unwatched) {
            self.watch_pending = true;
            ops.push(Op::WatchLater);
        }
    }

    /// Takes back everything that is in flight; closes when nothing is left.
    fn wind_down(&mut self, ops: &mut Vec<Op>) {
        for side in Side::BOTH {
            self.end_mut(side).wind_down(side, ops);
        }
        if self.dial == Dial::InFlight {
            self.dial = Dial::Cancelling;
            ops.push(Op::CancelDial);
        }
        if self.dial == Dial::Cancelling || !self.ends.iter().all(End::is_idle) {
            return;
        }
        let complete = self.ending == Some(Ending::Complete);
        for side in Side::BOTH {
            let end = self.end_mut(side);
            if end.open {
                end.open = false;
                ops.push(Op::Close { side, reset: !complete });
            }
        }
        self.finished = true;
        ops.push(Op::Finish);
    }
}

fn reset_by(side: Side) -> Ending {
    match side {
        Side::Client => Ending::ClientReset,
        Side::Target => Ending::TargetReset,
    }
}
