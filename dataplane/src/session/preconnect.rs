use super::close_reason::CloseReason;
use super::half::PIECES_HELD_MAX;
use super::relay::Relay;
use crate::flow::Side;

/// What may have come from a target before its client; more is no greeting. Each takes a buffer.
const UNCLAIMED_PIECES_MAX: usize = 4;

/// Whether the target was connected before there was a client. Such a connection serves one client:
/// what a target has heard from one is never another one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preconnect {
    /// The target is tried for a client that is there.
    No,
    /// There is no client yet.
    Unclaimed,
    /// There was no client when the target was connected, but there is now.
    Claimed,
    /// It was claimed, but gone: another target is tried for the client.
    Replaced,
}

impl Preconnect {
    /// As many pieces may wait to be sent to a side.
    pub(super) fn pieces_held_max(self) -> usize {
        if self == Self::Unclaimed { UNCLAIMED_PIECES_MAX } else { PIECES_HELD_MAX }
    }

    /// Why a connection to a target that was reached is of no use for a client that is yet to come.
    /// Without one nothing is lost.
    pub(super) fn defect(relay: &Relay) -> Option<CloseReason> {
        let target = relay.half(Side::Target);
        let is_gone = target.end_of_stream || target.broken;
        let says_too_much = relay.half(Side::Client).outbox.len() >= UNCLAIMED_PIECES_MAX;
        (is_gone || says_too_much).then_some(CloseReason::Broken)
    }

    /// A target may end a preconnected connection in the very moment in which a client gets it. While
    /// nothing went either way, another target can be connected as if that had never been there.
    pub(super) fn is_replaceable(self, relay: &Relay) -> bool {
        let target = relay.half(Side::Target);
        let is_untouched = target.received_bytes == 0 && target.sent_bytes == 0 && !target.shut;
        // Once broken, what was meant for it is gone.
        let is_free = target.is_idle() && target.outbox.is_empty() && !target.broken;
        self == Self::Claimed && is_untouched && is_free && !relay.half(Side::Client).broken
    }
}
