use std::sync::Arc;
use std::time::Duration;

use exchange::Target;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::health::probe::{CheckFailure, Probe};
use crate::health::settings::HealthSettings;

/// What a single check made of a target.
#[derive(Clone, Debug)]
pub struct SingleCheck {
    /// Who was checked.
    pub target: Target,
    /// How long it took, or why it failed.
    pub result: Result<Duration, CheckFailure>,
}

/// Checks each of `targets` once, as health checks do, at most `probes_max` at a time, and returns
/// the results in the same order. Must be called inside a tokio runtime with all enabled.
pub async fn check_targets(
    settings: &HealthSettings,
    probes_max: usize,
    targets: Vec<Target>,
) -> Vec<SingleCheck> {
    let probe = Arc::new(Probe::new(settings));
    let slots = Arc::new(Semaphore::new(probes_max));
    let mut under_way = JoinSet::new();
    for (index, target) in targets.into_iter().enumerate() {
        let (probe, slots) = (Arc::clone(&probe), Arc::clone(&slots));
        under_way.spawn(async move {
            // Fails only when it is closed, which nobody does.
            let _slot = slots.acquire_owned().await.ok();
            let started = Instant::now();
            let result = probe.run(target.address).await.map(|()| started.elapsed());
            (index, SingleCheck { target, result })
        });
    }
    let mut checks = under_way.join_all().await;
    checks.sort_by_key(|(index, _)| *index);
    checks.into_iter().map(|(_, check)| check).collect()
}
