//! Connections that are connected before there is a client for them. Each serves one client: what a
//! target has heard from one is never another one's.

use super::half::{Activity, End};
use super::{Connect, Ending, HELD_PIECES_MAX, Op, Session};
use crate::flow::{Piece, Side};

/// What may have come from a target before its client; more is no greeting. Each takes a buffer.
const UNCLAIMED_PIECES_MAX: usize = 4;

/// Whether the connection to the target was made ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ahead {
    /// The target is tried for a client that is there.
    No,
    /// There is no client yet.
    Unclaimed,
    /// There was no client when the target was connected, but there is now.
    Claimed,
    /// It was claimed, but gone: another target is tried for the client.
    Replaced,
}

impl Session {
    /// A session for a client that is yet to come.
    pub(crate) fn ahead(ops: &mut Vec<Op>) -> Self {
        let mut session = Self::new(1);
        session.ahead = Ahead::Unclaimed;
        session.start_connect(ops);
        session.advance(ops);
        session
    }

    /// Whether it was made ahead and has no client yet.
    pub(crate) fn awaits_client(&self) -> bool {
        self.ahead == Ahead::Unclaimed
    }

    /// Whether a client can be given this connection: as far as is known, the target is there.
    pub(crate) fn is_ready_for_client(&self) -> bool {
        let is_connected = self.connect == Connect::Done && self.ending.is_none();
        // The receive tells of its end.
        is_connected && self.awaits_client() && self.end(Side::Target).receive == Activity::On
    }

    /// Whether what is connected takes the place of a connection that was made ahead and was gone.
    pub(crate) fn is_replacement(&self) -> bool {
        self.ahead == Ahead::Replaced
    }

    pub(super) fn note_client_arrived(&mut self, payload: Option<Piece>, connects_max: u8) {
        debug_assert!(self.is_ready_for_client(), "{self:?} is not for a client");
        self.ahead = Ahead::Claimed;
        self.connects_left = connects_max;
        self.end_mut(Side::Client).open = true;
        self.client_spoke_last = payload.is_some();
        let client = self.end_mut(Side::Client);
        if let Some(piece) = payload {
            client.received_bytes += piece.len() as u64;
            self.end_mut(Side::Target).outbox.push(piece);
        }
    }

    pub(super) fn note_unwanted(&mut self) {
        debug_assert!(self.awaits_client(), "{self:?} has a client");
        self.ending = self.ending.or(Some(Ending::GivenUp));
    }

    /// Without a client nothing is lost when the target goes, or cannot be connected.
    pub(super) fn settle_unclaimed(&mut self) {
        let target = self.end(Side::Target);
        let is_gone = target.end_of_stream || target.broken;
        let says_too_much = self.end(Side::Client).outbox.len() >= UNCLAIMED_PIECES_MAX;
        self.ending = match self.connect {
            Connect::Failed => Some(Ending::NoTarget),
            Connect::Done if is_gone || says_too_much => Some(Ending::Broken),
            _ => None,
        };
    }

    pub(super) fn held_pieces_max(&self) -> usize {
        if self.awaits_client() { UNCLAIMED_PIECES_MAX } else { HELD_PIECES_MAX }
    }

    /// A target may end a connection made ahead in the very moment in which a client gets it. While
    /// nothing went either way, another target can be connected as if that had never been there.
    /// Whether it is so.
    pub(super) fn replace_if_lost(&mut self, side: Side, ops: &mut Vec<Op>) -> bool {
        if self.ahead != Ahead::Claimed || side == Side::Client {
            return false;
        }
        let target = self.end_mut(Side::Target);
        let is_untouched = target.received_bytes == 0 && target.sent_bytes == 0 && !target.shut;
        // Once broken, what was meant for it is gone.
        let is_free = target.is_idle() && target.outbox.is_empty() && !target.broken;
        let may_connect = self.connects_left > 0 && self.ending.is_none();
        if is_untouched && is_free && may_connect && !self.end(Side::Client).broken {
            *self.end_mut(Side::Target) = End::default();
            self.ahead = Ahead::Replaced;
            ops.push(Op::Close { side: Side::Target, reset: false });
            self.start_connect(ops);
            return true;
        }
        false
    }
}
