use std::time::Duration;

use control::breaker;
use control::policy::{PolicySettings, Rules};
use dataplane::Balance;

pub(crate) const RISE: u32 = 2;
pub(crate) const FALL: u32 = 3;
/// Where targets are checked that are not checked where they serve.
const CHECK_PORT: u16 = 81;
/// Time between two checks, give or take 10 %.
pub(crate) const CHECK_PERIOD: Duration = Duration::from_secs(2);
pub(crate) const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the first checks of the others are waited for. Less than a check may take, as where checks
/// have more than two seconds.
pub(crate) const WARMUP_MAX: Duration = Duration::from_secs(1);
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
pub(crate) const DISCOVERY_PERIOD: Duration = Duration::from_secs(10);
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// The longest that a core goes without looking for a snapshot: it hardly ever does.
pub(crate) const PICKUP_MAX: Duration = Duration::from_millis(1500);
/// The longest that a report waits.
pub(crate) const REPORT_MAX: Duration = Duration::from_millis(200);

/// The longest that a client waits that has no patience.
pub(crate) const LEAVING_MAX: Duration = Duration::from_secs(3);

/// How one balancer is set up, and what it has to bear.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) balance: Balance,
    pub(crate) cores: usize,
    pub(crate) hosts: u8,
    pub(crate) connect_attempts: usize,
    pub(crate) breaker: breaker::BreakerSettings,
    /// Where checks go, if not to the clients' port.
    pub(crate) check_port: Option<u16>,
    pub(crate) fail_open_threshold: u8,
    pub(crate) drain_timeout: Duration,
    pub(crate) reset_unhealthy: bool,
    pub(crate) slow_start: Duration,
    /// New connections a second.
    pub(crate) arrivals_per_s: f64,
    /// Their mean duration.
    pub(crate) duration: Duration,
    /// Of a thousand clients, how many may leave before they are connected.
    pub(crate) impatient: u32,
    /// Whether things go wrong.
    pub(crate) has_faults: bool,
    /// Whether there is a target that serves always and fails every third check.
    pub(crate) has_bad_thirds: bool,
}

impl Setting {
    /// As most would have it, with ten targets and no faults.
    pub(crate) fn calm() -> Self {
        Self {
            balance: Balance::P2c,
            cores: 2,
            hosts: 10,
            connect_attempts: 3,
            breaker: breaker::BreakerSettings { threshold: 5, timeout: Duration::from_mins(5) },
            check_port: None,
            fail_open_threshold: 0,
            drain_timeout: Duration::from_mins(5),
            reset_unhealthy: false,
            slow_start: Duration::ZERO,
            arrivals_per_s: 100.0,
            duration: Duration::from_secs(5),
            impatient: 0,
            has_faults: false,
            has_bad_thirds: false,
        }
    }

    /// Any, as likely as not one that nobody would choose.
    pub(crate) fn random(rng: &mut fastrand::Rng) -> Self {
        use Balance::{LeastConnections, Maglev, P2c, Random, RoundRobin};
        let balances = [P2c, RoundRobin, Random, LeastConnections, Maglev];
        Self {
            balance: balances[rng.usize(..balances.len())],
            cores: rng.usize(1..=4),
            hosts: rng.u8(2..=10),
            connect_attempts: rng.usize(1..=4),
            breaker: breaker::BreakerSettings {
                threshold: [1, 2, 5, 5, 20][rng.usize(..5)],
                timeout: Duration::from_secs(rng.u64(5..=300)),
            },
            check_port: rng.bool().then_some(CHECK_PORT),
            fail_open_threshold: [0, 0, 30, 60][rng.usize(..4)],
            drain_timeout: Duration::from_secs(rng.u64(0..=120)),
            reset_unhealthy: rng.bool(),
            slow_start: Duration::from_secs([0, 0, 20][rng.usize(..3)]),
            arrivals_per_s: [2.0, 3.0, 12.0][rng.usize(..3)],
            duration: Duration::from_millis(rng.u64(20..20_000)),
            impatient: [0, 5, 200][rng.usize(..3)],
            has_faults: true,
            has_bad_thirds: rng.bool(),
        }
    }

    /// Whether checks say nothing of whether clients can connect.
    pub(crate) fn is_checked_apart(&self) -> bool {
        self.check_port.is_some()
    }

    /// What the control plane is told of it.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            rise: RISE,
            fall: FALL,
            has_checks: true,
            check_port: self.check_port,
            warmup_max: WARMUP_MAX,
            cores: self.cores,
            affinity: false,
            policy: PolicySettings {
                fail_open_threshold: self.fail_open_threshold,
                breaker: self.breaker,
                drain_timeout: self.drain_timeout,
                reset_unhealthy: self.reset_unhealthy,
                slow_start: self.slow_start,
                rebalance_rate: 0,
            },
        }
    }
}
