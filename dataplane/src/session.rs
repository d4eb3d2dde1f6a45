//! One client connection and the target connection it is forwarded to, as a pure state machine:
//! events in, operations out. It does no I/O and reads no clock; time it has to wait for comes
//! back as an event.
//!
//! After every event the operations are derived from the state as a whole ([`Session::advance`]),
//! not from the event: whatever order things happen in, the same state asks for the same
//! operations.

mod close_reason;
mod delivery;
mod event;
mod half;
mod op;
mod preconnect;
mod rebalance;
mod relay;
#[cfg(test)]
mod tests;

use crate::flow::{Piece, Side};
pub(crate) use close_reason::CloseReason;
use delivery::Delivery;
pub(crate) use event::{Event, HeaderProgress};
use half::{Half, Receive};
pub(crate) use op::{Op, WATCH_DELAY};
pub(crate) use preconnect::Preconnect;
use rebalance::RebalanceState;
use relay::Relay;

/// How far the connection to a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectState {
    /// The client's header has to be complete first.
    AwaitsHeader,
    InFlight,
    Cancelling,
    Done,
    Failed,
}

/// One proxied connection, from its client's accept until nothing of it is left.
#[derive(Debug)]
pub(crate) struct Session {
    relay: Relay,
    preconnect: Preconnect,
    connect: ConnectState,
    close_reason: Option<CloseReason>,
    finished: bool,
    rebalance: RebalanceState,
    delivery: Option<Delivery>,
}

impl Session {
    /// A session for a client that was just accepted.
    pub(crate) fn accepted(ops: &mut Vec<Op>) -> Self {
        let mut session = Self::new(Preconnect::No);
        session.relay.open_client(None);
        session.start_connect(ops);
        session.advance(ops);
        session
    }

    /// A session for a client that has to begin with a header. Nothing is connected before that is
    /// complete; bytes of it come as [`Event::ProxyHeader`].
    pub(crate) fn awaiting_proxy_header(ops: &mut Vec<Op>) -> Self {
        let mut session = Self::new(Preconnect::No);
        session.relay.open_client(None);
        session.advance(ops);
        session
    }

    /// A session for a client that is yet to come.
    pub(crate) fn preconnected(ops: &mut Vec<Op>) -> Self {
        let mut session = Self::new(Preconnect::Unclaimed);
        session.start_connect(ops);
        session.advance(ops);
        session
    }

    /// A session without any side or operation yet.
    fn new(preconnect: Preconnect) -> Self {
        Self {
            relay: Relay::default(),
            preconnect,
            connect: ConnectState::AwaitsHeader,
            close_reason: None,
            finished: false,
            rebalance: RebalanceState::No,
            delivery: None,
        }
    }

    /// Takes an event and appends the operations that follow from it.
    pub(crate) fn handle(&mut self, event: Event, ops: &mut Vec<Op>) {
        debug_assert!(!self.finished, "{event:?} after the session's end");
        self.note(event, ops);
        self.advance(ops);
    }

    /// What has come and gone, by side.
    pub(crate) fn relay(&self) -> &Relay {
        &self.relay
    }

    /// Whether the target was connected.
    pub(crate) fn is_connected(&self) -> bool {
        self.connect == ConnectState::Done
    }

    /// Why the session ends, once that is known.
    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        self.close_reason
    }

    /// Whether it was preconnected, and what became of that.
    pub(crate) fn preconnect(&self) -> Preconnect {
        self.preconnect
    }

    /// Whether it is preconnected and has no client yet.
    pub(crate) fn awaits_client(&self) -> bool {
        self.preconnect == Preconnect::Unclaimed
    }

    /// Whether a client can be given this connection: as far as is known, the target is there.
    pub(crate) fn is_ready_for_client(&self) -> bool {
        let is_connected = self.is_connected() && self.close_reason.is_none();
        // The receive tells of its end.
        is_connected && self.awaits_client() && self.relay.half(Side::Target).receive.is_on()
    }

    /// Whether what the client sends next still belongs to its header.
    pub(crate) fn awaits_proxy_header(&self) -> bool {
        !self.is_past_proxy_header() && self.close_reason.is_none()
    }

    /// Whether the client's header was complete, if it had to have one.
    pub(crate) fn is_past_proxy_header(&self) -> bool {
        self.connect != ConnectState::AwaitsHeader
    }

    /// Whether the connection can end without anybody missing anything.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.is_connected() && self.close_reason.is_none() && self.relay.is_at_rest()
    }

    /// Whether [`Event::Rebalance`] is being followed.
    pub(crate) fn is_rebalancing(&self) -> bool {
        self.rebalance.is_under_way()
    }

    fn note(&mut self, event: Event, ops: &mut Vec<Op>) {
        let is_ending = self.close_reason.is_some();
        match event {
            Event::ProxyHeader { piece, progress, more } => {
                self.note_proxy_header(piece, progress, more, ops);
            }
            Event::Refused => {
                self.close_reason.get_or_insert(CloseReason::Refused);
            }
            Event::HeaderForTarget { piece } => {
                debug_assert!(self.awaits_client() || !self.is_connected(), "it comes too late");
                self.relay.half_mut(Side::Target).outbox.push_front(piece);
            }
            Event::ClientArrived { payload } => {
                debug_assert!(self.is_ready_for_client(), "{self:?} is not for a client");
                self.preconnect = Preconnect::Claimed;
                self.relay.open_client(payload);
            }
            Event::Unwanted => {
                debug_assert!(self.awaits_client(), "{self:?} has a client");
                self.close_reason.get_or_insert(CloseReason::GivenUp);
            }
            Event::Connected => {
                self.connect = ConnectState::Done;
                self.relay.half_mut(Side::Target).open = true;
            }
            Event::ConnectFailed
                if self.connect == ConnectState::InFlight
                    && !is_ending
                    && !self.awaits_client() =>
            {
                self.start_connect(ops);
            }
            Event::ConnectFailed | Event::NoTarget => self.connect = ConnectState::Failed,
            Event::EndOfStream { from } | Event::ReceiveFailed { from } => {
                self.relay.half_mut(from).note_end_of_stream();
                if self.replace_if_lost(from, ops) {
                    return;
                }
                self.relay.note_first_end(from, is_ending);
                if matches!(event, Event::ReceiveFailed { .. }) {
                    self.relay.note_broken(from, is_ending, ops);
                }
            }
            Event::Readable { from } => {
                if !self.relay.note_readable(from, is_ending, ops) {
                    self.rebalance.stay();
                }
            }
            Event::SendQueue { to, bytes } => self.note_send_queue(to, bytes),
            Event::Rebalance => {
                if self.is_at_rest() {
                    self.rebalance.begin();
                }
            }
            Event::Inspected { is_empty } => {
                if self.rebalance.answer(is_empty) && self.is_at_rest() {
                    self.close_reason.get_or_insert(CloseReason::Rebalanced);
                }
            }
            Event::IdleTimeout { stuck } => {
                self.close_reason
                    .get_or_insert(stuck.map_or(CloseReason::IdleTimeout, CloseReason::Stuck));
            }
            Event::Abort(reason) => {
                self.close_reason.get_or_insert(CloseReason::Aborted(reason));
            }
            event => self.relay.note(event, is_ending, ops),
        }
    }

    fn start_connect(&mut self, ops: &mut Vec<Op>) {
        self.connect = ConnectState::InFlight;
        ops.push(Op::Connect);
    }

    fn note_proxy_header(
        &mut self,
        piece: Piece,
        progress: HeaderProgress,
        more: bool,
        ops: &mut Vec<Op>,
    ) {
        debug_assert!(self.awaits_proxy_header());
        match progress {
            HeaderProgress::Incomplete => {}
            HeaderProgress::Complete => self.start_connect(ops),
            HeaderProgress::Refused => {
                self.close_reason.get_or_insert(CloseReason::Refused);
            }
        }
        if progress == HeaderProgress::Complete && piece.len() > 0 {
            let event = Event::Received { from: Side::Client, piece, full: false, more };
            return self.relay.note(event, false, ops);
        }
        ops.push(Op::Recycle { buffer: piece.buffer });
        if !more {
            self.relay.half_mut(Side::Client).receive = Receive::Off;
        }
    }

    /// Connects another target in place of a preconnected one that went before anybody noticed:
    /// whether it is so.
    fn replace_if_lost(&mut self, side: Side, ops: &mut Vec<Op>) -> bool {
        let is_replaced = side == Side::Target
            && self.close_reason.is_none()
            && self.preconnect.is_replaceable(&self.relay);
        if is_replaced {
            *self.relay.half_mut(Side::Target) = Half::default();
            self.preconnect = Preconnect::Replaced;
            ops.push(Op::Close { side: Side::Target, reset: false });
            self.start_connect(ops);
        }
        is_replaced
    }

    fn note_send_queue(&mut self, to: Side, bytes: usize) {
        let is_all = self.relay.is_delivered(to) && bytes == 0;
        // What is left of a send in flight is queued but not counted as sent: wraps, no matter.
        let acknowledged = self.relay.half(to).sent_bytes.wrapping_sub(bytes as u64);
        let Some(delivery) = &mut self.delivery else { return };
        if delivery.note(acknowledged, is_all) {
            self.close_reason.get_or_insert(match to {
                Side::Target => CloseReason::ClientReset,
                Side::Client => CloseReason::TargetReset,
            });
        }
    }

    fn advance(&mut self, ops: &mut Vec<Op>) {
        if self.close_reason.is_none() {
            self.settle(ops);
        }
        if self.is_rebalancing() && self.close_reason.is_none() {
            self.advance_rebalance(ops);
        }
        if self.close_reason.is_some() {
            if !self.finished {
                self.wind_down(ops);
            }
        } else if !self.is_rebalancing() {
            self.relay.advance(self.preconnect.pieces_held_max(), ops);
        }
    }

    /// Decides whether the session has come to its end.
    fn settle(&mut self, ops: &mut Vec<Op>) {
        let [client, target] = Side::BOTH.map(|side| self.relay.half(side));
        let client_is_gone = client.broken && (target.broken || target.outbox.is_empty());
        self.close_reason = match self.connect {
            ConnectState::Failed if self.awaits_client() => Some(CloseReason::NoTarget),
            ConnectState::Done if self.awaits_client() => Preconnect::defect(&self.relay),
            _ if self.awaits_client() => None,
            ConnectState::AwaitsHeader | ConnectState::Failed if client.broken => {
                Some(CloseReason::ClientReset)
            }
            ConnectState::AwaitsHeader if client.end_of_stream => Some(CloseReason::Refused),
            ConnectState::Failed => Some(CloseReason::NoTarget),
            // What was read before the client's RST is still delivered.
            ConnectState::InFlight if client_is_gone => Some(CloseReason::ClientReset),
            ConnectState::Done if client.broken && target.broken => Some(CloseReason::ClientReset),
            // The other is reset as soon as it has all bytes read from the first.
            ConnectState::Done if client.broken => return self.await_delivery(Side::Target, ops),
            ConnectState::Done if target.broken => return self.await_delivery(Side::Client, ops),
            ConnectState::Done if Side::BOTH.iter().all(|&to| self.relay.is_delivered(to)) => {
                Some(CloseReason::Complete)
            }
            _ => None,
        };
    }

    fn await_delivery(&mut self, to: Side, ops: &mut Vec<Op>) {
        if let Some(delay) = self.delivery.get_or_insert_default().look() {
            ops.push(Op::MeasureSendQueue { to, delay });
        }
    }

    /// Takes back what is in flight. Whatever comes in the meantime keeps the connection.
    fn advance_rebalance(&mut self, ops: &mut Vec<Op>) {
        if !self.is_at_rest() {
            return self.rebalance.stay();
        }
        if self.rebalance == RebalanceState::Looking {
            return;
        }
        self.relay.stop_listening(ops);
        if self.relay.is_idle() {
            self.rebalance = RebalanceState::Looking;
            ops.push(Op::Inspect);
        }
    }

    /// Takes back everything that is in flight; closes when nothing is left.
    fn wind_down(&mut self, ops: &mut Vec<Op>) {
        self.relay.wind_down(ops);
        if self.connect == ConnectState::InFlight {
            self.connect = ConnectState::Cancelling;
            ops.push(Op::CancelConnect);
        }
        if self.connect != ConnectState::Cancelling && self.relay.is_idle() {
            self.relay.close(self.close_reason, ops);
            self.finished = true;
            ops.push(Op::Finish);
        }
    }
}
