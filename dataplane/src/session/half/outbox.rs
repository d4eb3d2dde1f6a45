use std::collections::VecDeque;

use crate::flow::Piece;

/// Pieces in the order in which they are to be sent. The first one needs no memory of its own:
/// most sessions never have a second.
#[derive(Debug, Default)]
pub(in crate::session) struct Outbox {
    first: Option<Piece>,
    rest: VecDeque<Piece>,
}

impl Outbox {
    pub(in crate::session) fn push(&mut self, piece: Piece) {
        if self.first.is_none() {
            self.first = Some(piece);
        } else {
            self.rest.push_back(piece);
        }
    }

    /// Puts `piece` before all others; none of them may be in flight.
    pub(in crate::session) fn push_front(&mut self, piece: Piece) {
        if let Some(second) = self.first.replace(piece) {
            self.rest.push_front(second);
        }
    }

    pub(in crate::session) fn pop(&mut self) -> Option<Piece> {
        let piece = self.first.take()?;
        self.first = self.rest.pop_front();
        Some(piece)
    }

    pub(in crate::session) fn front(&self) -> Option<Piece> {
        self.first
    }

    /// Takes `bytes` off the first piece; its buffer if that was all of it.
    pub(in crate::session) fn advance(&mut self, bytes: usize) -> Option<u16> {
        let first = self.first.as_mut()?;
        let sent = u16::try_from(bytes).unwrap_or(u16::MAX).min(first.end - first.start);
        first.start += sent;
        if first.start < first.end { None } else { self.pop().map(|piece| piece.buffer) }
    }

    pub(in crate::session) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(in crate::session) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }
}
