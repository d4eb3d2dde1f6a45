//! The end of a connection that rests, so that its client comes back and is led elsewhere: by FIN on
//! both sides, and only if nothing is under way by then.

use super::half::End;
use super::{Connect, Ending, Op, Session};
use crate::flow::Side;

/// How far the end of a resting connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Retiring {
    #[default]
    No,
    /// What waits for bytes or errors is being taken back.
    Stopping,
    /// Nothing is in flight; whether anything has come since is being looked at.
    Looking,
}

impl Session {
    /// Whether the connection can end without anybody missing anything: all that came was passed on,
    /// no side has begun to close, and it was not the client that spoke last, who would be waiting
    /// for the answer.
    pub(crate) fn is_at_rest(&self) -> bool {
        let rests = |end: &End| {
            end.open
                && !(end.broken || end.end_of_stream || end.shut)
                && end.has_sent_all()
                && end.piped_bytes == 0
        };
        self.connect == Connect::Done
            && self.ending.is_none()
            && !self.client_spoke_last
            && self.ends.iter().all(rests)
    }

    /// Whether [`super::Event::Retire`] is being followed.
    pub(crate) fn is_retiring(&self) -> bool {
        self.retiring != Retiring::No
    }

    pub(super) fn note_retire(&mut self) {
        if self.retiring == Retiring::No && self.is_at_rest() {
            self.retiring = Retiring::Stopping;
        }
    }

    pub(super) fn note_inspected(&mut self, is_empty: bool) {
        let is_due = self.retiring == Retiring::Looking && is_empty && self.is_at_rest();
        self.stay();
        if is_due {
            self.ending = self.ending.or(Some(Ending::Rebalanced));
        }
    }

    /// Goes on as if nothing had been asked for.
    pub(super) fn stay(&mut self) {
        self.retiring = Retiring::No;
    }

    /// Takes back what is in flight. Whatever comes in the meantime keeps the connection.
    pub(super) fn retire(&mut self, ops: &mut Vec<Op>) {
        if !self.is_at_rest() {
            return self.stay();
        }
        if self.retiring == Retiring::Looking {
            return;
        }
        for side in Side::BOTH {
            let end = self.end_mut(side);
            end.cancel_receive(side, ops);
            end.cancel_watch(side, ops);
        }
        if self.ends.iter().all(End::is_idle) {
            self.retiring = Retiring::Looking;
            ops.push(Op::Inspect);
        }
    }
}
