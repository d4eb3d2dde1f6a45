//! Bulk: bytes that go from socket to socket through a pipe (splice(2)) and never through user
//! space. A pipe is held only while there is something in it.

use super::half::Activity;
use super::{Op, Session};
use crate::flow::Side;

impl Session {
    /// Whether a receive's completion for this side is the end of [`Op::AwaitReadable`].
    pub(crate) fn awaits_readable(&self, from: Side) -> bool {
        self.end(from).splicing
    }

    /// Whether a send's completion for this side is the end of [`Op::AwaitWritable`].
    pub(crate) fn awaits_writable(&self, to: Side) -> bool {
        self.end(to).draining
    }

    pub(super) fn note_readable(&mut self, from: Side, ops: &mut Vec<Op>) {
        let unwanted = self.ending.is_some() || self.end(from.peer()).broken;
        let end = self.end_mut(from);
        if end.receive == Activity::On && !unwanted {
            // Goes on until the answer, which comes at once.
            ops.push(Op::Fill { from });
        } else {
            end.receive = Activity::Off;
            self.stay();
        }
    }

    pub(super) fn note_filled(&mut self, from: Side, bytes: usize, full: bool, ops: &mut Vec<Op>) {
        self.client_spoke_last = from == Side::Client;
        let end = self.end_mut(from);
        end.receive = Activity::Off;
        end.received_bytes += bytes as u64;
        if !full {
            end.leave_splice();
        }
        let to = from.peer();
        let end = self.end_mut(to);
        end.piped_bytes = bytes;
        end.send = Activity::On;
        end.draining = true;
        ops.push(Op::Drain { to });
    }

    pub(super) fn note_not_filled(&mut self, from: Side) {
        let end = self.end_mut(from);
        end.receive = Activity::Off;
        end.leave_splice();
    }

    pub(super) fn note_drained(&mut self, to: Side, bytes: usize, ops: &mut Vec<Op>) {
        let end = self.end_mut(to);
        end.piped_bytes -= bytes;
        end.sent_bytes += bytes as u64;
        if end.piped_bytes > 0 {
            ops.push(Op::AwaitWritable { to });
        } else {
            end.send = Activity::Off;
            end.draining = false;
        }
    }

    pub(super) fn note_writable(&mut self, to: Side, ops: &mut Vec<Op>) {
        let end = self.end_mut(to);
        if end.send == Activity::On && end.piped_bytes > 0 {
            ops.push(Op::Drain { to });
        } else {
            end.send = Activity::Off;
            end.draining = false;
        }
    }
}
