/// Why a session is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AbortReason {
    /// The time for a graceful end is over.
    Shutdown,
    /// Its target was withdrawn, and the time to drain it is over.
    TargetWithdrawn,
    /// Its target fails its health checks.
    TargetUnhealthy,
    /// There was no buffer for what its target has to get first.
    NoBuffer,
}
