use super::Session;
use crate::flow::Side;

impl Session {
    /// Whether the target was first to end the connection, before it had sent a byte.
    pub(crate) fn is_unanswered(&self) -> bool {
        let target = self.end(Side::Target);
        // What had come before a reset may be received after it was noticed.
        target.ended_first && target.received_bytes == 0
    }

    /// A side ends the connection, or its part of it.
    pub(super) fn note_first_end(&mut self, by: Side) {
        let peer = self.end(by.peer());
        let is_peer_there = peer.open && !peer.end_of_stream && !peer.broken;
        self.end_mut(by).ended_first |= is_peer_there && self.ending.is_none();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Event, Op};
    use super::*;
    use crate::flow::Piece;

    /// Whether a session counts as unanswered after these events.
    fn is_unanswered(events: &[Event]) -> bool {
        let mut ops: Vec<Op> = Vec::new();
        let mut session = Session::accepted(1, &mut ops);
        session.handle(Event::Connected, &mut ops);
        for &event in events {
            session.handle(event, &mut ops);
        }
        session.is_unanswered()
    }

    #[test]
    fn what_a_target_is_first_to_end_without_a_byte_is_unanswered() {
        use Side::{Client, Target};
        let fin = |from| Event::EndOfStream { from };
        let reset = |from| Event::ReceiveFailed { from };
        let said = |from| {
            let piece = Piece { buffer: 1, start: 0, end: 1 };
            Event::Received { from, piece, full: false, more: false }
        };
        assert!(!is_unanswered(&[]));
        assert!(is_unanswered(&[fin(Target)]));
        assert!(is_unanswered(&[fin(Target), fin(Client)]));
        assert!(is_unanswered(&[said(Client), fin(Target)]));
        assert!(is_unanswered(&[said(Client), reset(Target)]));
        assert!(is_unanswered(&[said(Client), Event::SendFailed { to: Target }]));
        assert!(!is_unanswered(&[said(Target), fin(Target)]), "it has said something");
        assert!(!is_unanswered(&[Event::SendFailed { to: Target }, said(Target)]));
        assert!(!is_unanswered(&[fin(Client), fin(Target)]), "the client wanted nothing more");
        assert!(!is_unanswered(&[reset(Client), reset(Target)]));
        assert!(!is_unanswered(&[fin(Client), reset(Target)]));
    }
}
