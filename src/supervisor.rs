//! What a service manager hears of the process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use control::Control;
use exchange::CoreCounters;
use tokio::task::JoinHandle;

use crate::config::Supervision;
use crate::heartbeat::{Heartbeat, Sign};
use crate::notifier::{Notice, Notifier};

/// Signs of life come no faster, whatever the manager asks for.
const PERIOD_MIN: Duration = Duration::from_millis(10);

/// Tells the manager, if there is one, when clients are served, when the end begins, and that all is
/// well as long as it is.
#[derive(Debug)]
pub(crate) struct Supervisor {
    notifier: Option<Arc<Notifier>>,
    ready: Option<JoinHandle<()>>,
}

impl Supervisor {
    /// Begins to tell. Clients are served once a target is eligible, or `first_target_timeout` after
    /// the start without one. Must be called inside a runtime: that of the control plane, so that the
    /// signs of life end if that hangs.
    pub(crate) fn start(
        supervision: &Supervision,
        control: &Control,
        first_target_timeout: Duration,
        counters: Arc<[CoreCounters]>,
    ) -> Self {
        let notifier = supervision.notify.as_ref().and_then(Notifier::to).map(Arc::new);
        let Some(notifier) = notifier else { return Self { notifier: None, ready: None } };
        let mut snapshots = control.snapshots();
        let tells = Arc::clone(&notifier);
        let ready = tokio::spawn(async move {
            let some = snapshots.wait_for(|snapshot| snapshot.eligible().next().is_some());
            // Either way clients are let in now.
            let _ = tokio::time::timeout(first_target_timeout, some).await;
            tells.tell(Notice::Ready);
        });
        if let Some(watchdog) = supervision.watchdog {
            let period = (watchdog / 2).max(PERIOD_MIN);
            tokio::spawn(keep_telling(Arc::clone(&notifier), period, counters));
        }
        Self { notifier: Some(notifier), ready: Some(ready) }
    }

    /// The graceful end begins.
    pub(crate) fn stopping(&self) {
        if let Some(ready) = &self.ready {
            ready.abort();
        }
        if let Some(notifier) = &self.notifier {
            notifier.tell(Notice::Stopping);
        }
    }
}

/// Tells that all is well, every `period`, while every core's loop turns.
async fn keep_telling(notifier: Arc<Notifier>, period: Duration, counters: Arc<[CoreCounters]>) {
    let mut heartbeat = Heartbeat::new(counters.len(), Instant::now());
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut was_missing = None;
    loop {
        ticks.tick().await;
        let signs = counters
            .iter()
            .map(|core| Sign { turns: core.turns.get(), has_ended: core.ended.get() != 0 });
        let missing = heartbeat.missing(signs, Instant::now());
        match missing {
            None => notifier.tell(Notice::Alive),
            Some(core) if was_missing.is_none() => {
                log::error!("core {core} stands still: the service manager gets no sign of life");
            }
            Some(_) => (),
        }
        was_missing = missing;
    }
}
