pub(crate) mod affinity;
pub(crate) mod check_group;
pub(crate) mod command;
pub(crate) mod event;
pub(crate) mod reports;
pub(crate) mod service;

use std::sync::Arc;
use std::time::{Duration, Instant};

use exchange::{Publisher, ServiceIndex};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, sleep_until};

use crate::health::attempted::Attempted;
use crate::health::checked::Checked;
use crate::health::probe::CheckFailure;
use crate::health::reconnect::Reconnector;
use crate::jitter::Jitter;
use crate::log_lines::name::name_of;
use crate::metrics::Metrics;
use crate::status::Statuses;
use check_group::CheckGroup;
use command::{AdminCommand, DrainAction};
use event::Event;
use service::Service;

/// How often withdrawn targets are looked at.
const TICK: Duration = Duration::from_secs(1);

/// Events under way to the controller; whoever finds the queue full waits.
pub(crate) const EVENT_QUEUE: usize = 1024;

/// Most events that one snapshot waits for.
const EVENTS_MAX: usize = 64;

/// The one place where decisions are made: takes events in, gives snapshots out, those of each service
/// on its own.
#[derive(Debug)]
pub(crate) struct Controller {
    /// In the order of their indices.
    pub(crate) services: Vec<Service>,
    /// Who checks targets, and for which services.
    pub(crate) checks: Vec<CheckGroup>,
    pub(crate) reconnector: Reconnector,
    /// For what is made on other threads.
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) publisher: Publisher,
    pub(crate) statuses: watch::Sender<Statuses>,
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
            let rebalance_due = self.services.iter().filter_map(|it| it.roster.rebalance_due());
            let rebalance_due = rebalance_due.min();
            let may_be_news = tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.handle_all(event, &mut events),
                    None => return,
                },
                _ = ticks.tick() => {
                    self.services.iter_mut().for_each(|it| it.roster.tick(now()));
                    true
                }
                () = wait_until(self.due) => true,
                () = wait_until(rebalance_due) => {
                    self.rebalance(now());
                    true
                }
            };
            if may_be_news {
                self.publish();
            }
        }
    }

    fn rebalance(&mut self, now: Instant) {
        for service in &mut self.services {
            if service.roster.rebalance_due().is_some_and(|due| due <= now) {
                service.roster.rebalance(now, &mut || self.jitter.fraction());
            }
        }
    }

    /// Takes in `event` and what has come with it: a snapshot costs the more the more targets there
    /// are, here and on every core, and a first check of each of them would cost one each. Whether
    /// there may be anything to publish.
    fn handle_all(&mut self, event: Event, events: &mut mpsc::Receiver<Event>) -> bool {
        let mut may_be_news = self.handle(event);
        for _ in 1..EVENTS_MAX {
            let Ok(event) = events.try_recv() else { break };
            may_be_news |= self.handle(event);
        }
        may_be_news
    }

    fn handle(&mut self, event: Event) -> bool {
        let now = now();
        match event {
            Event::Discovered(found) => {
                for service in &mut self.services {
                    let targets = service.targets(&found);
                    service.roster.discovered(targets, now);
                }
            }
            Event::Located(zone) => {
                // Clients that keep their targets do so wherever they are.
                for service in self.services.iter_mut().filter(|it| it.tables.is_none()) {
                    service.roster.located(Arc::clone(&zone));
                }
            }
            Event::Checked(checked) => return self.handle_checked(checked),
            Event::Mapped(service, affinity) => {
                let service = self.service(service);
                if let Some(tables) = &mut service.tables {
                    tables.built();
                }
                service.roster.mapped(affinity);
            }
            Event::Reported(reports) => {
                for report in &reports {
                    self.service(report.service).roster.reported(report, now);
                }
            }
            Event::Attempted(Attempted { service, target, began, result }) => {
                self.service(service).roster.attempted(&target, began, result, now);
            }
            Event::Commanded(command) => self.obey(command, now),
        }
        true
    }

    fn service(&mut self, service: ServiceIndex) -> &mut Service {
        &mut self.services[service.place()]
    }

    fn handle_checked(&mut self, Checked { group, target, began, result }: Checked) -> bool {
        let result = match result {
            Ok(()) => Some(Ok(())),
            Err(CheckFailure::NotMade(_)) => None,
            Err(failure) => {
                let failure = failure.to_string();
                log::debug!("target {}: health check failed: {failure}", name_of(&target));
                Some(Err(failure))
            }
        };
        let mut is_news = false;
        for service in self.checks[group].services() {
            let service = &mut self.services[service.place()];
            let target = service.own(target.clone());
            is_news |= match &result {
                Some(result) => {
                    let result = result.as_ref().copied().map_err(|failure| &**failure);
                    service.roster.checked(&target, result, began)
                }
                None => service.roster.not_checked(&target),
            };
        }
        is_news
    }

    fn obey(&mut self, AdminCommand { name, action, reply }: AdminCommand, now: Instant) {
        let mut is_obeyed = false;
        for service in &mut self.services {
            let name = service.called(&name);
            is_obeyed |= match action {
                DrainAction::Drain => service.roster.drain(&name, now),
                DrainAction::Undrain => service.roster.undrain(&name),
            };
        }
        self.publish();
        // Who asked may have gone.
        let _ = reply.send(is_obeyed.then(|| self.statuses.borrow().clone()));
    }

    /// Publishes what has changed, if anything, and logs it: to the cores what they route by, to all
    /// others the statuses.
    fn publish(&mut self) {
        let now = now();
        let mut lines = Vec::new();
        let mut is_news = false;
        for service in &mut self.services {
            for target in service.roster.begin_attempts(now) {
                self.reconnector.attempt(service.index, target, now);
            }
            let after = service.roster.status(now);
            self.metrics.breakers_changed(service.index, service.roster.breaker_transitions());
            service.map(&self.events);
            if service.status.generation() == after.generation() {
                continue;
            }
            is_news = true;
            // They tell how many connections are reset, which cores do as soon as they hear of it.
            lines.extend(service.changes(&after));
            if service.status.snapshot().generation() != after.snapshot().generation() {
                self.publisher.publish(service.index, after.snapshot());
            }
            service.status = after;
        }
        self.due = self.services.iter().filter_map(|it| it.roster.next_due(now)).min();
        if !is_news {
            return;
        }
        let statuses = self.services.iter().map(Service::named_status).collect();
        self.statuses.send_replace(Statuses::of(statuses));
        for group in &mut self.checks {
            group.follow(&self.services);
        }
        for (level, line) in lines {
            log::log!(level, "{line}");
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
