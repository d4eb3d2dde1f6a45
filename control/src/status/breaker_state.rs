/// Where a target's circuit breaker stands, whatever else is the matter with the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BreakerState {
    /// The target can be connected to, as far as is known.
    #[default]
    Closed,
    /// The control plane is trying to connect to it.
    HalfOpen,
    /// The target cannot be connected to.
    Open,
}
