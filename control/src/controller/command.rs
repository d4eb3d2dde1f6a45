use exchange::TargetId;
use tokio::sync::oneshot;

use crate::status::Statuses;

/// What an operator wants of the targets with an id, or of the one at an address.
#[derive(Debug)]
pub(crate) struct AdminCommand {
    /// The id, or the address.
    pub(crate) name: TargetId,
    pub(crate) action: DrainAction,
    /// Told once it is obeyed: the statuses that say so; none where there is no such target, nor
    /// an order that would hold for it.
    pub(crate) reply: oneshot::Sender<Option<Statuses>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DrainAction {
    /// No new connections.
    Drain,
    /// New connections again.
    Undrain,
}
