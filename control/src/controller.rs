pub(crate) mod affinity;
pub(crate) mod command;
pub(crate) mod event;
pub(crate) mod reports;

use std::sync::Arc;
use std::time::{Duration, Instant};

use exchange::Publisher;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, sleep_until};

use crate::health::attempted::Attempted;
use crate::health::checked::Checked;
use crate::health::probe::CheckFailure;
use crate::health::prober::Prober;
use crate::health::reconnect::Reconnector;
use crate::jitter::Jitter;
use crate::log_lines::{self, name::name_of};
use crate::metrics::Metrics;
use crate::policy::roster::Roster;
use crate::status::Status;
use affinity::Tables;
use command::{AdminCommand, DrainAction};
use event::Event;

/// How often withdrawn targets are looked at.
const TICK: Duration = Duration::from_secs(1);

/// Events under way to the controller; whoever finds the queue full waits.
pub(crate) const EVENT_QUEUE: usize = 1024;

/// Most events that one snapshot waits for.
const EVENTS_MAX: usize = 64;

/// The one place where decisions are made: takes events in, gives snapshots out.
#[derive(Debug)]
pub(crate) struct Controller {
    pub(crate) roster: Roster,
    pub(crate) prober: Prober,
    pub(crate) reconnector: Reconnector,
    /// Where clients keep their targets.
    pub(crate) tables: Option<Tables>,
    /// For what is made on other threads.
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) publisher: Publisher,
    pub(crate) statuses: watch::Sender<Arc<Status>>,
    pub(crate) metrics: Arc<Metrics>,
    /// When there is something to publish although nothing has happened.
    pub(crate) due: Option<Instant>,
    pub(crate) jitter: Jitter,
}

impl Controller {
    /// Runs until every sender of events is gone, which is at the runtime's end.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<Event>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.handle_all(event, &mut events),
                    None => return,
                },
                _ = ticks.tick() => self.roster.tick(now()),
                () = wait_until(self.due) => {}
                () = wait_until(self.roster.rebalance_due()) => {
                    self.roster.rebalance(now(), &mut || self.jitter.fraction());
                }
            }
            self.publish();
        }
    }

    /// Takes in `event` and what has come with it: a snapshot costs the more the more targets there
    /// are, here and on every core, and a first check of each of them would cost one each.
    fn handle_all(&mut self, event: Event, events: &mut mpsc::Receiver<Event>) {
        self.handle(event);
        for _ in 1..EVENTS_MAX {
            let Ok(event) = events.try_recv() else { return };
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event) {
        let now = now();
        match event {
            Event::Discovered(targets) => self.roster.discovered(targets, now),
            Event::Located(zone) => self.roster.located(zone),
            Event::Checked(Checked { target, result: Err(CheckFailure::NotMade(_)), .. }) => {
                self.roster.not_checked(&target);
            }
            Event::Checked(Checked { target, began, result }) => {
                let result = result.map_err(|failure| failure.to_string());
                if let Err(failure) = &result {
                    log::debug!("target {}: health check failed: {failure}", name_of(&target));
                }
                self.roster.checked(&target, result.as_ref().copied().map_err(|e| &**e), began);
            }
            Event::Mapped(affinity) => {
                if let Some(tables) = &mut self.tables {
                    tables.built();
                }
                self.roster.mapped(affinity);
            }
            Event::Reported(reports) => {
                for report in &reports {
                    self.roster.reported(report, now);
                }
            }
            Event::Attempted(Attempted { target, began, result }) => {
                self.roster.attempted(&target, began, result, now);
            }
            Event::Commanded(command) => self.obey(command, now),
        }
    }

    fn obey(&mut self, AdminCommand { name, action, reply }: AdminCommand, now: Instant) {
        let is_obeyed = match action {
            DrainAction::Drain => self.roster.drain(&name, now),
            DrainAction::Undrain => self.roster.undrain(&name),
        };
        self.publish();
        // Who asked may have gone.
        let _ = reply.send(is_obeyed.then(|| Arc::clone(&self.statuses.borrow())));
    }

    /// Publishes what has changed, if anything, and logs it: to the cores what they route by, to all
    /// others the status.
    fn publish(&mut self) {
        let now = now();
        for target in self.roster.begin_attempts(now) {
            self.reconnector.attempt(target, now);
        }
        let after = self.roster.status(now);
        self.due = self.roster.next_due(now);
        self.metrics.breakers_changed(self.roster.breaker_transitions());
        self.map();
        let before = Arc::clone(&self.statuses.borrow());
        if before.generation() == after.generation() {
            return;
        }
        // They tell how many connections are reset, which cores do as soon as they hear of it.
        let lines = log_lines::changes(&before, &after);
        if before.snapshot().generation() != after.snapshot().generation() {
            self.publisher.publish(after.snapshot());
        }
        self.statuses.send_replace(after);
        self.prober.check_only(self.roster.to_be_checked());
        for (level, line) in lines {
            log::log!(level, "{line}");
        }
    }

    /// Has the affinity table follow the targets that clients are led to, or are about to be.
    fn map(&mut self) {
        let Some(tables) = &mut self.tables else { return };
        if let Some(targets) = tables.next(self.roster.to_be_mapped()) {
            affinity::build(targets, self.events.clone());
        }
    }
}

/// As the runtime tells it, whose clock tests may stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Waits for ever where there is nothing to wait for.
async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
