mod queue;
mod slots;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use exchange::Target;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::controller::event::Event;
use crate::health::checked::Checked;
use crate::health::probe::{CheckFailure, Probe};
use crate::health::settings::HealthSettings;
use crate::jitter::Jitter;
use crate::metrics::Metrics;
use crate::policy::identity::Identity;
use crate::threads::guard;
use queue::Rank;
use slots::{Slot, Slots};

/// Most probes at once, however many descriptors there are: each has a thread.
pub const MAX_PROBES: usize = 1024;

/// Lines about checks that cannot be made, or not in time, come no faster than this.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// A failed check that took more than this part of its timeout hung: the next one is likely to take
/// up its slot for as long.
const HUNG_SHARE: u32 = 4;

/// Checks every target it is given, each in its own time: one task per target and one blocking
/// thread per probe under way.
#[derive(Debug)]
pub(crate) struct Prober {
    tools: Arc<Tools>,
    tasks: HashMap<Identity, Task>,
}

#[derive(Debug)]
struct Tools {
    group: usize,
    probe: Probe,
    period: Duration,
    timeout: Duration,
    slots: Slots,
    slots_max: usize,
    metrics: Arc<Metrics>,
    events: mpsc::Sender<Event>,
    not_made_lines: Lines,
    late_lines: Lines,
}

/// When a line of its kind was written last.
#[derive(Debug, Default)]
struct Lines(Mutex<Option<Instant>>);

impl Lines {
    /// Whether another one may be written.
    fn is_due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|at| at.elapsed() >= LOG_INTERVAL);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}

/// One check, as it went.
struct CheckAttempt {
    result: Result<(), CheckFailure>,
    /// When it began.
    began: Instant,
    took: Duration,
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
    /// Number `group` of several; `slots` is how many checks there may be at a time.
    pub(crate) fn new(
        group: usize,
        settings: &HealthSettings,
        slots: usize,
        metrics: Arc<Metrics>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let tools = Tools {
            group,
            probe: Probe::new(settings),
            period: settings.period,
            timeout: settings.timeout,
            slots: Slots::new(slots),
            slots_max: slots,
            metrics,
            events,
            not_made_lines: Lines::default(),
            late_lines: Lines::default(),
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
        let mut rank = Rank::Unchecked;
        loop {
            let due = Instant::now();
            let Some(CheckAttempt { result, began, took }) = self.check(&target, &gate, rank).await
            else {
                return;
            };
            match &result {
                Ok(()) => rank = Rank::Passed,
                Err(CheckFailure::NotMade(reason)) => self.tell_not_made(&target, reason),
                Err(_) if took > self.timeout / HUNG_SHARE => rank = Rank::Hung,
                Err(_) => rank = Rank::Failed,
            }
            let (group, target, began) = (self.group, target.clone(), began.into_std());
            let checked = Checked { group, target, began, result };
            if self.events.send(Event::Checked(checked)).await.is_err() {
                return;
            }
            sleep_until(due + jitter.apply(self.period)).await;
        }
    }

    /// Which targets are well is then not known any more.
    fn tell_not_made(&self, target: &Identity, reason: &str) {
        if self.not_made_lines.is_due() {
            log::warn!(
                "health checks cannot be made, one of {}: {reason}; targets are taken to be as they \
                 were",
                target.address
            );
        }
    }

    /// Targets that hang are noticed later then.
    fn tell_late(&self) {
        if self.late_lines.is_due() {
            log::warn!(
                "health checks are late: {} wait for one of the {} that may be under way at a time; \
                 a higher limit of open files allows up to {MAX_PROBES}",
                self.slots.waiting(),
                self.slots_max
            );
        }
    }

    /// One check; none when the runtime is shutting down.
    async fn check(
        self: &Arc<Self>,
        target: &Identity,
        gate: &Arc<Semaphore>,
        rank: Rank,
    ) -> Option<CheckAttempt> {
        let timed_out = Err(CheckFailure::TimedOut(self.timeout));
        // Taken unless the thread of the probe before lingers beyond its timeout.
        let Ok(gate) = timeout(self.timeout, Arc::clone(gate).acquire_owned()).await else {
            let (began, took) = (Instant::now(), self.timeout);
            return Some(CheckAttempt { result: timed_out, began, took });
        };
        let due = Instant::now();
        let slot = self.slots.take(rank).await;
        let began = Instant::now();
        if began - due > self.period {
            self.tell_late();
        }
        let probe = self.blocking_probe(target, (gate.ok()?, slot));
        // tokio panics where there is no thread, and none can be started.
        let probe = match guard::call(|| tokio::task::spawn_blocking(probe)) {
            Ok(probe) => probe,
            Err(panicked) => {
                let result = Err(CheckFailure::NotMade(panicked.to_string()));
                return Some(CheckAttempt { result, began, took: Duration::ZERO });
            }
        };
        let result = match timeout(self.probe.longest(), probe).await {
            Ok(finished) => finished.ok()?,
            Err(_) => timed_out,
        };
        let took = began.elapsed();
        self.metrics.probed(took);
        Some(CheckAttempt { result, began, took })
    }

    /// What the blocking thread does. It keeps `permits` until it has ended, awaited or not.
    fn blocking_probe(
        self: &Arc<Self>,
        target: &Identity,
        permits: (OwnedSemaphorePermit, Slot),
    ) -> impl FnOnce() -> Result<(), CheckFailure> + use<> {
        let (tools, address) = (Arc::clone(self), target.address);
        move || {
            let result = tools.probe.run(address);
            drop(permits);
            result
        }
    }
}
