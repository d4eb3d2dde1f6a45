use std::time::Duration;

use crate::flow::{Piece, Side};

/// How long nothing may be received from a side before errors on it are watched for: sides that
/// pause for an instant only, as they do all the time, shouldn't cost an operation each time.
pub(crate) const WATCH_DELAY: Duration = Duration::from_millis(100);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Connect a target not tried before, or the one that is preconnected: `Connected`,
    /// `ConnectFailed` or `NoTarget` follows.
    Connect,
    /// End the connect: `ConnectFailed` or `Connected` follows.
    CancelConnect,
    /// Receive once, or for as long as it goes. `idle`: nothing can have arrived yet.
    Receive { from: Side, multishot: bool, idle: bool },
    /// End the receive: its last event follows.
    CancelReceive { from: Side },
    /// Wait until there is something to take: `Readable` or `ReceiveStopped` follows. It takes a
    /// receive's place and is cancelled like one.
    AwaitReadable { from: Side },
    /// Splice from the side into a pipe: `Filled`, `NotFilled` or `ReceiveFailed` follows at once.
    Fill { from: Side },
    /// Splice what was taken from the peer out of the pipe: `Drained` or `SendFailed` follows at
    /// once.
    Drain { to: Side },
    /// Wait until there is room to send: `Writable` or `SendStopped` follows. It takes a send's
    /// place and is cancelled like one.
    AwaitWritable { to: Side },
    /// What is left in the pipe to the side goes nowhere.
    DiscardPipe { to: Side },
    /// Send all of the piece.
    Send { to: Side, piece: Piece },
    /// End the send: `Sent`, `SendFailed` or `SendStopped` follows.
    CancelSend { to: Side },
    /// Watch for errors on a side that nothing is received from, until cancelled: `Watched` each.
    Watch { side: Side },
    /// End the watch: a last `Watched` follows.
    CancelWatch { side: Side },
    /// Come back with `WatchDue` after [`WATCH_DELAY`].
    WatchLater,
    /// Send FIN; nothing is sent after it.
    ShutdownWrite { to: Side },
    /// The buffer is free again.
    Recycle { buffer: u16 },
    /// Look whether there is anything to be received from either side: `Inspected` follows at once.
    Inspect,
    /// After the delay, come back with `SendQueue`.
    MeasureSendQueue { to: Side, delay: Duration },
    /// Close, by RST if `reset`. No operation of the side is in flight.
    Close { side: Side, reset: bool },
    /// The session is over and holds nothing any more.
    Finish,
}
