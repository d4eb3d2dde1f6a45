mod queue;
mod slots;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use exchange::Target;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use crate::controller::event::Event;
use crate::health::checked::Checked;
use crate::health::probe::{CheckFailure, Probe};
use crate::health::settings::{CheckProtocol, HealthSettings};
use crate::jitter::Jitter;
use crate::metrics::Metrics;
use crate::policy::identity::Identity;
use queue::Rank;
pub(crate) use slots::Slots;

/// Most probes at once, however many descriptors there are.
pub const MAX_PROBES: usize = 1024;

/// Lines about checks that cannot be made, or not in time, come no faster than this.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// A failed check that took more than this part of its timeout hung: the next one is likely to take
/// up its slot for as long.
const HUNG_SHARE: u32 = 4;

/// Checks every target it is given, each in its own time: one task per target.
#[derive(Debug)]
pub(crate) struct Prober {
    tools: Arc<Tools>,
    tasks: HashMap<Identity, AbortHandle>,
}

#[derive(Debug)]
struct Tools {
    group: usize,
    /// A target passes when it is found, and that is all.
    is_once: bool,
    probe: Probe,
    period: Duration,
    timeout: Duration,
    slots: Slots,
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

impl Prober {
    /// Number `group` of several, which share `slots`.
    pub(crate) fn new(
        group: usize,
        settings: &HealthSettings,
        slots: Slots,
        metrics: Arc<Metrics>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let tools = Tools {
            group,
            is_once: settings.protocol == CheckProtocol::None,
            probe: Probe::new(settings),
            period: settings.period,
            timeout: settings.timeout,
            slots,
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
            let is_wanted = wanted.contains(target);
            if !is_wanted {
                task.abort();
            }
            is_wanted
        });
        for target in wanted {
            self.tasks.entry(target.clone()).or_insert_with(|| {
                tokio::spawn(Arc::clone(&self.tools).check_for_ever(target)).abort_handle()
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
    async fn check_for_ever(self: Arc<Self>, target: Identity) {
        let mut jitter = Jitter::new();
        let mut rank = Rank::Unchecked;
        loop {
            let due = Instant::now();
            // What a check needs is there while it runs: most of its time a task waits.
            let CheckAttempt { result, began, took } = Box::pin(self.check(&target, rank)).await;
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
            if self.is_once {
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
                self.slots.count()
            );
        }
    }

    async fn check(&self, target: &Identity, rank: Rank) -> CheckAttempt {
        let due = Instant::now();
        let _slot = self.slots.take(rank).await;
        let began = Instant::now();
        if began - due > self.period {
            self.tell_late();
        }
        let result = self.probe.run(target.address).await;
        let took = began.elapsed();
        self.metrics.probed(took);
        CheckAttempt { result, began, took }
    }
}
