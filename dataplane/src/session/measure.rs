use std::time::Duration;

use super::{Ending, Op, Session};
use crate::flow::Side;

/// Between two looks at the send queue of a connection that is to be reset: doubles from the first
/// to the last value.
const MEASURE_INTERVAL_MIN_MS: u16 = 1;
const MEASURE_INTERVAL_MAX_MS: u16 = 64;
/// How long a peer of a broken connection may take no byte before it is reset all the same.
const STALL_MAX_MS: u16 = 5000;

/// The wait for the last bytes to arrive before a reset.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measure {
    under_way: bool,
    interval_ms: u16,
    stalled_ms: u16,
    acknowledged_bytes: u64,
}

impl Session {
    /// One side is gone. The other is reset as soon as it has all bytes read from the first; a
    /// reset throws away what the other's peer has not acknowledged, so that is waited for.
    pub(super) fn settle_broken(&mut self, ops: &mut Vec<Op>) {
        let to = if self.end(Side::Client).broken { Side::Target } else { Side::Client };
        let measure = self.measure.get_or_insert_default();
        if !measure.under_way {
            measure.under_way = true;
            let delay = Duration::from_millis(u64::from(measure.interval_ms));
            ops.push(Op::MeasureSendQueue { to, delay });
        }
    }

    pub(super) fn note_send_queue(&mut self, to: Side, bytes: usize) {
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
}

fn reset_by(side: Side) -> Ending {
    match side {
        Side::Client => Ending::ClientReset,
        Side::Target => Ending::TargetReset,
    }
}
