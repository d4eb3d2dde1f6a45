use crate::flow::Piece;

/// The operations in flight for one side.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    pub(super) receive: Option<Receive>,
    pub(super) send: Option<Send>,
    pub(super) watch: Option<Watch>,
}

/// Whether the cancellation of an operation was asked for.
pub(super) type Cancelled = bool;

#[derive(Debug)]
pub(super) struct Receive {
    /// Only waits for something to take.
    pub(super) wait: bool,
    pub(super) multishot: bool,
    pub(super) cancelled: Cancelled,
}

/// Edge triggered: what was told is not told again.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) fin_told: bool,
    pub(super) error_told: bool,
    pub(super) cancelled: Cancelled,
}

#[derive(Debug)]
pub(super) struct Send {
    /// None: waits for room.
    pub(super) piece: Option<Piece>,
    pub(super) cancelled: Cancelled,
}
