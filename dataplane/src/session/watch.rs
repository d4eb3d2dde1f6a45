//! A side that nothing is received from has to be watched: only so is it noticed when its connection
//! is gone.

use std::time::Duration;

use super::half::{Activity, End};
use super::{Op, Session};
use crate::flow::Side;

/// How long nothing may be received from a side before errors on it are watched for: sides that
/// pause for an instant only, as they do all the time, shouldn't cost an operation each time.
pub(crate) const WATCH_DELAY: Duration = Duration::from_millis(100);

impl Session {
    /// Whether nothing is received from this side although it may have more to say.
    pub(crate) fn is_held_up(&self, side: Side) -> bool {
        let end = self.end(side);
        end.watch != Activity::Off && end.receive == Activity::Off && !end.end_of_stream
    }

    pub(super) fn note_watched(&mut self, side: Side, error: bool, more: bool, ops: &mut Vec<Op>) {
        if !more {
            self.end_mut(side).watch = Activity::Off;
        }
        if error {
            self.note_broken(side, ops);
        }
    }

    pub(super) fn note_watch_due(&mut self, ops: &mut Vec<Op>) {
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

    pub(super) fn ask_for_watch(&mut self, ops: &mut Vec<Op>) {
        if !self.watch_pending && self.ends.iter().any(End::is_unwatched) {
            self.watch_pending = true;
            ops.push(Op::WatchLater);
        }
    }
}
