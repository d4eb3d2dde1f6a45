use std::time::Duration;

use crate::policy::breaker;

/// What the roster is told once.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// As in [`crate::health::HealthSettings`].
    pub rise: u32,
    /// As in [`crate::health::HealthSettings`].
    pub fall: u32,
    /// As in [`crate::Settings`], in percent.
    pub fail_open_threshold: u8,
    /// When a target's circuit breaker opens, and how rarely it is tried again.
    pub breaker: breaker::BreakerSettings,
    /// As in [`crate::health::HealthSettings::port`].
    pub check_port: Option<u16>,
    /// As in [`crate::Settings`].
    pub drain_timeout: Duration,
    /// As in [`crate::Settings`].
    pub reset_unhealthy: bool,
    /// As in [`crate::Settings`].
    pub slow_start: Duration,
    /// As in [`crate::Settings`].
    pub rebalance_rate: u32,
    /// How long, once a target has passed its first check, clients wait for the first checks of all
    /// others.
    pub warmup_max: Duration,
    /// Whether clients keep their targets, so that they wait for the table, too.
    pub affinity: bool,
    /// Data-plane cores.
    pub cores: usize,
}
