use std::time::Duration;

use crate::policy::settings::PolicySettings;

/// What the roster is told once.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// By what is decided.
    pub policy: PolicySettings,
    /// Whether clients keep their targets: snapshots then carry an [`exchange::Affinity`].
    pub affinity: bool,
    /// As in [`crate::health::HealthSettings`].
    pub rise: u32,
    /// As in [`crate::health::HealthSettings`].
    pub fall: u32,
    /// Whether targets are connected to for checks: only what was reached can be known to be
    /// reachable again.
    pub has_checks: bool,
    /// As in [`crate::health::HealthSettings::port`].
    pub check_port: Option<u16>,
    /// How long, once a target has passed its first check, clients wait for the first checks of all
    /// others.
    pub warmup_max: Duration,
    /// Data-plane cores.
    pub cores: usize,
}
