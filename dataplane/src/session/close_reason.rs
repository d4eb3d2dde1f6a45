use crate::flow::{AbortReason, Side};

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// Both sides sent FIN and have all bytes.
    Complete,
    /// The client's connection was reset or lost.
    ClientReset,
    /// The target's connection was reset or lost.
    TargetReset,
    /// No target could be connected.
    NoTarget,
    /// The client did not say who it is, or may not connect.
    Refused,
    /// It rested, on a target that had more than its share: by FIN.
    Rebalanced,
    /// Nothing moved for too long.
    IdleTimeout,
    /// A side has acknowledged nothing for too long of what it was being sent.
    Stuck(Side),
    /// Preconnected: no client came for it.
    GivenUp,
    /// Preconnected: the target ended it before a client came.
    Broken,
    /// Ended from outside.
    Aborted(AbortReason),
}

impl CloseReason {
    /// Whether both sides are ended by FIN, and not by RST.
    pub(super) fn is_by_fin(self) -> bool {
        matches!(self, Self::Complete | Self::Rebalanced | Self::GivenUp | Self::Broken)
    }
}
