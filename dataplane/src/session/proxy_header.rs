//! What goes before the payload: the header that a client may have to begin with, and the one that
//! the target may have to get first.

use super::half::Activity;
use super::{Connect, Ending, Op, Session};
use crate::flow::{Piece, Side};

/// How far a client's header has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preface {
    /// More is to come.
    Incomplete,
    /// It is whole; payload may have come with it.
    Complete,
    /// It is none.
    Refused,
}

impl Session {
    /// A session for a client that has to begin with a header. Nothing is connected before that is
    /// complete; bytes of it come as [`super::Event::Prefaced`].
    pub(crate) fn awaiting_preface(connects_max: u8, ops: &mut Vec<Op>) -> Self {
        let mut session = Self::new(connects_max);
        session.end_mut(Side::Client).open = true;
        session.advance(ops);
        session
    }

    /// Whether what the client sends next still belongs to its header.
    pub(crate) fn awaits_preface(&self) -> bool {
        !self.is_introduced() && self.ending.is_none()
    }

    /// Whether the client's header was complete, if it had to have one.
    pub(crate) fn is_introduced(&self) -> bool {
        self.connect != Connect::NotYet
    }

    pub(super) fn note_prefaced(
        &mut self,
        piece: Piece,
        preface: Preface,
        more: bool,
        ops: &mut Vec<Op>,
    ) {
        debug_assert!(self.awaits_preface());
        match preface {
            Preface::Incomplete => {}
            Preface::Complete => self.start_connect(ops),
            Preface::Refused => self.ending = Some(Ending::Refused),
        }
        if preface == Preface::Complete && piece.len() > 0 {
            self.note_received(Side::Client, piece, false, more, ops);
            return;
        }
        ops.push(Op::Recycle { buffer: piece.buffer });
        if !more {
            self.end_mut(Side::Client).receive = Activity::Off;
        }
    }

    pub(super) fn note_header(&mut self, piece: Piece) {
        let is_first = self.awaits_client() || !self.end(Side::Target).open;
        debug_assert!(is_first, "the header comes too late");
        self.end_mut(Side::Target).outbox.push_front(piece);
    }
}
