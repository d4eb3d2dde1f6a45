use std::time::Duration;

use super::breaker::BreakerSettings;

/// By what is decided who may receive traffic.
#[derive(Clone, Copy, Debug)]
pub struct PolicySettings {
    /// In percent (0-100): at or below this share of healthy targets, all that are not draining
    /// are used; 0: only when none is healthy.
    pub fail_open_threshold: u8,
    /// How long connections to a target that drains may go on before they are reset; zero: not at
    /// all.
    pub drain_timeout: Duration,
    /// Whether live connections are reset to a target that fails its health checks and is not used.
    pub reset_unhealthy: bool,
    /// How long the share of a target grows that joins others; zero: it gets all of it at once.
    pub slow_start: Duration,
    /// How many connections a second are closed, at most, where there are too many after targets have
    /// joined; 0: none ever is.
    pub rebalance_rate: u32,
    /// When a target that cannot be connected to is left alone.
    pub breaker: BreakerSettings,
}
