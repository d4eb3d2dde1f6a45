use std::sync::Arc;

use exchange::{Snapshot, TargetId};
use tokio::sync::oneshot;

/// What an operator wants of the targets with an id.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) id: TargetId,
    pub(crate) wish: Wish,
    /// Told once it is obeyed: the snapshot that says so.
    pub(crate) reply: oneshot::Sender<Result<Arc<Snapshot>, Refusal>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// No new connections.
    Drain,
    /// New connections again.
    Undrain,
}

/// Why an order has no effect on who gets connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no such target.
    Unknown,
    /// It is not discovered now; it will be used when it is.
    Away,
}
