use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use exchange::Target;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::controller::Event;
use crate::guard;
use crate::health::Settings;
use crate::jitter::Jitter;
use crate::metrics::Metrics;
use crate::probe::{Failure, Probe};
use crate::roster::Identity;

/// Most probes at once. Up to as many targets can hang without any effect on the others; with more
/// of them hanging, probes wait for each other in order, and each still ends with its timeout.
pub(crate) const MAX_PROBES: usize = 1024;

/// Lines about checks that cannot be made come no faster than this.
const NOT_MADE_LOG_INTERVAL: Duration = Duration::from_mins(1);

/// The result of one check.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Who was checked.
    pub(crate) target: Identity,
    /// Why it is not healthy, if so.
    pub(crate) result: Result<(), Failure>,
}

/// Checks every target it is given, each in its own time: one task per target and one blocking
/// thread per probe under way.
#[derive(Debug)]
pub(crate) struct Prober {
    tools: Arc<Tools>,
    tasks: HashMap<Identity, Task>,
}

#[derive(Debug)]
struct Tools {
    probe: Probe,
    period: Duration,
    timeout: Duration,
    slots: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    events: mpsc::Sender<Event>,
    /// When a line about a check that could not be made was written last.
    not_made_logged: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Task {
    /// None once the target is not to be checked any more.
    handle: Option<AbortHandle>,
    /// Held by the target's probe: there is never a second one beside it, even when the target
    /// was away in between.
    gate: Arc<Semaphore>,
}

impl Prober {
    pub(crate) fn new(
        settings: &Settings,
        metrics: Arc<Metrics>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let tools = Tools {
            probe: Probe::new(settings),
            period: settings.period,
            timeout: settings.timeout,
            slots: Arc::new(Semaphore::new(MAX_PROBES)),
            metrics,
            events,
            not_made_logged: Mutex::new(None),
        };
        Self { tools: Arc::new(tools), tasks: HashMap::new() }
    }

    /// Checks these targets and no others. Those that were not checked before are checked at once.
    pub(crate) fn check_only<'a>(&mut self, targets: impl Iterator<Item = &'a Target>) {
        let wanted: HashSet<Identity> = targets.map(Identity::of).collect();
        self.tasks.retain(|target, task| {
            if wanted.contains(target) {
                return true;
            }
            if let Some(handle) = task.handle.take() {
                handle.abort();
            }
            task.gate.available_permits() == 0
        });
        for target in wanted {
            let task = self
                .tasks
                .entry(target.clone())
                .or_insert_with(|| Task { handle: None, gate: Arc::new(Semaphore::new(1)) });
            task.handle.get_or_insert_with(|| {
                let run = Arc::clone(&self.tools).check_for_ever(target, Arc::clone(&task.gate));
                tokio::spawn(run).abort_handle()
            });
        }
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.check_only(std::iter::empty());
    }
}

impl Tools {
    async fn check_for_ever(self: Arc<Self>, target: Identity, gate: Arc<Semaphore>) {
        let mut jitter = Jitter::new();
        loop {
            let started = Instant::now();
            let Some(result) = self.check(&target, &gate).await else { return };
            if let Err(Failure::NotMade(reason)) = &result {
                self.tell_not_made(&target, reason);
            }
            let checked = Checked { target: target.clone(), result };
            if self.events.send(Event::Checked(checked)).await.is_err() {
                return;
            }
            sleep_until(started + jitter.apply(self.period)).await;
        }
    }

    /// Which targets are well is then not known any more.
    fn tell_not_made(&self, target: &Identity, reason: &str) {
        let mut logged = self.not_made_logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_none_or(|at| at.elapsed() >= NOT_MADE_LOG_INTERVAL) {
            *logged = Some(Instant::now());
            log::warn!(
                "health checks cannot be made, one of {}: {reason}; targets are taken to be as they \
                 were",
                target.address
            );
        }
    }

    /// One check; none when the runtime is shutting down.
    async fn check(
        self: &Arc<Self>,
        target: &Identity,
        gate: &Arc<Semaphore>,
    ) -> Option<Result<(), Failure>> {
        let timed_out = Some(Err(Failure::TimedOut(self.timeout)));
        // Taken unless the thread of the probe before lingers beyond its timeout.
        let Ok(gate) = timeout(self.timeout, Arc::clone(gate).acquire_owned()).await else {
            return timed_out;
        };
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok()?;
        let probe = self.blocking_probe(target, [gate.ok()?, slot]);
        let started = Instant::now();
        // tokio panics where there is no thread, and none can be started.
        let probe = match guard::call(|| tokio::task::spawn_blocking(probe)) {
            Ok(probe) => probe,
            Err(panicked) => return Some(Err(Failure::NotMade(panicked.to_string()))),
        };
        let result = match timeout(self.timeout, probe).await {
            Ok(finished) => Some(finished.ok()?),
            Err(_) => timed_out,
        };
        self.metrics.probed(started.elapsed());
        result
    }

    /// What the blocking thread does. It keeps `permits` until it has ended, awaited or not.
    fn blocking_probe(
        self: &Arc<Self>,
        target: &Identity,
        permits: [OwnedSemaphorePermit; 2],
    ) -> impl FnOnce() -> Result<(), Failure> + use<> {
        let (tools, address) = (Arc::clone(self), target.address);
        move || {
            let result = tools.probe.run(address);
            drop(permits);
            result
        }
    }
}
