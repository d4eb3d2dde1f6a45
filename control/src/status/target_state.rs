use std::fmt;

/// How the control plane sees a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TargetState {
    /// Discovered, and no health check has passed or been failed often enough yet.
    #[default]
    Checking,
    /// Passes its health checks.
    Healthy,
    /// Fails its health checks.
    Unhealthy,
    /// Taken out by its circuit breaker.
    Ejected,
    /// Withdrawn: no new connections, live ones go on.
    Draining,
}

impl TargetState {
    /// Every state there is.
    pub const ALL: [Self; 5] =
        [Self::Checking, Self::Healthy, Self::Unhealthy, Self::Ejected, Self::Draining];

    /// The name operators see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Checking => "checking",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
            Self::Draining => "draining",
        }
    }
}

impl fmt::Display for TargetState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
