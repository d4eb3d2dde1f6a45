#[cfg(doc)]
use super::op::Op;
use crate::flow::{AbortReason, Piece, Side};

/// How far the header has come that a client may have to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderProgress {
    /// More is to come.
    Incomplete,
    /// It is whole; payload may have come with it.
    Complete,
    /// It is none.
    Refused,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Bytes of the header that a client begins with arrived; `piece` is what of them is payload.
    /// `more`: the receive goes on.
    ProxyHeader { piece: Piece, progress: HeaderProgress, more: bool },
    /// The client is not to be served.
    Refused,
    /// A header for the target is ready: it goes before everything else. Comes right before
    /// `Connected` or `ClientArrived`.
    HeaderForTarget { piece: Piece },
    /// The client of a connection that was preconnected is there; `payload` came from it already.
    ClientArrived { payload: Option<Piece> },
    /// No client is going to come for a connection that was preconnected.
    Unwanted,
    /// The connect succeeded: the target's side is open.
    Connected,
    /// The connect failed, was cancelled or revoked; nothing is left of it.
    ConnectFailed,
    /// There is no target, or no further one, that may be tried.
    NoTarget,
    /// Bytes arrived; `full`: they filled a buffer; `more`: the receive goes on.
    Received { from: Side, piece: Piece, full: bool, more: bool },
    /// The side sent FIN; the receive has ended.
    EndOfStream { from: Side },
    /// The receive ended with an error: the connection is gone.
    ReceiveFailed { from: Side },
    /// The receive ended without saying anything about the connection (cancelled, out of buffers).
    ReceiveStopped { from: Side },
    /// The send ended; `bytes` were queued: all that was asked for, or fewer if it was cancelled or
    /// the connection is gone.
    Sent { to: Side, bytes: usize },
    /// The send ended with an error: the connection is gone.
    SendFailed { to: Side },
    /// The send was cancelled before it queued a byte.
    SendStopped { to: Side },
    /// Bytes, FIN or an error are there to be taken: the end of [`Op::AwaitReadable`].
    Readable { from: Side },
    /// There is room to send, or an error: the end of [`Op::AwaitWritable`].
    Writable { to: Side },
    /// [`Op::Fill`] put `bytes` into the pipe, at least one; `full`: as many as a buffer holds.
    Filled { from: Side, bytes: usize, full: bool },
    /// [`Op::Fill`] found no pipe or nothing to take, be it for the end of the stream.
    NotFilled { from: Side },
    /// [`Op::Drain`] took `bytes` out of the pipe.
    Drained { to: Side, bytes: usize },
    /// The watch saw something; `error`: the connection is gone; `more`: the watch goes on.
    Watched { side: Side, error: bool, more: bool },
    /// [`Op::WatchLater`] is due.
    WatchDue,
    /// [`Op::MeasureSendQueue`] is due: `bytes` queued to `to` were not acknowledged yet.
    SendQueue { to: Side, bytes: usize },
    /// End by FIN on both sides if the connection rests, and if nothing comes while it does.
    Rebalance,
    /// The answer to [`Op::Inspect`].
    Inspected { is_empty: bool },
    /// Nothing moves any more: end, by resets.
    IdleTimeout {
        /// The side that has acknowledged nothing of what it is being sent, if it is one's fault.
        stuck: Option<Side>,
    },
    /// End now, by resets.
    Abort(AbortReason),
}
