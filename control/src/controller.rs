pub(crate) mod affinity;
mod clients_line;
pub(crate) mod order;
pub(crate) mod reports;
mod zone_line;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use exchange::{Affinity, Checks, Entry, Publisher, Report, Snapshot, Target, TargetState};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, sleep_until};

use crate::escaped::Escaped;
use crate::health::probe::Failure;
use crate::health::prober::{Checked, Prober};
use crate::health::reconnect::{Attempted, Reconnector};
use crate::jitter::Jitter;
use crate::metrics::Metrics;
use crate::policy::roster::{Identity, Roster};
use affinity::Tables;
use clients_line::clients_line;
use order::{Order, Wish};
use zone_line::zone_line;

/// How often withdrawn targets are looked at.
const TICK: Duration = Duration::from_secs(1);

/// Events under way to the controller; whoever finds the queue full waits.
pub(crate) const EVENT_QUEUE: usize = 1024;

/// Most events that one snapshot waits for.
const EVENTS_MAX: usize = 64;

/// What the controller reacts to.
#[derive(Debug)]
pub(crate) enum Event {
    /// The targets are these now.
    Discovered(Vec<Target>),
    /// This balancer is in this zone.
    Located(Arc<str>),
    /// A target was checked.
    Checked(Checked),
    /// The affinity table that was asked for is built.
    Mapped(Arc<Affinity>),
    /// The cores have something to say about their connects.
    Reported(Vec<Report>),
    /// The control plane has tried to connect to an ejected target.
    Attempted(Attempted),
    /// An operator wants something.
    Ordered(Order),
}

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
    pub(crate) snapshots: watch::Sender<Arc<Snapshot>>,
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
            Event::Checked(Checked { target, result: Err(Failure::NotMade(_)), .. }) => {
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
            Event::Ordered(order) => self.obey(order, now),
        }
    }

    fn obey(&mut self, Order { name, wish, reply }: Order, now: Instant) {
        let is_obeyed = match wish {
            Wish::Drain => self.roster.drain(&name, now),
            Wish::Undrain => self.roster.undrain(&name),
        };
        self.publish();
        // Who asked may have gone.
        let _ = reply.send(is_obeyed.then(|| Arc::clone(&self.snapshots.borrow())));
    }

    /// Publishes what has changed, if anything, and logs it.
    fn publish(&mut self) {
        let now = now();
        for target in self.roster.begin_attempts(now) {
            self.reconnector.attempt(target, now);
        }
        let after = self.roster.snapshot(now);
        self.due = self.roster.next_due(now);
        self.metrics.breakers_turned(self.roster.breaker_turns());
        self.map();
        let before = Arc::clone(&self.snapshots.borrow());
        if Arc::ptr_eq(&before, &after) || before.generation == after.generation {
            return;
        }
        // They tell how many connections are reset, which cores do as soon as they hear of it.
        let lines = changes(&before, &after);
        self.publisher.publish(&after);
        self.snapshots.send_replace(Arc::clone(&after));
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

/// The log lines that tell `after` from `before`.
fn changes(before: &Snapshot, after: &Snapshot) -> Vec<(log::Level, String)> {
    let (old, new) = (by_identity(before), by_identity(after));
    let mut lines = Vec::new();
    for entry in &after.entries {
        let old = old.get(&Identity::of(&entry.target)).copied();
        lines.extend(state_line(old, entry));
        if entry.reset && old.is_none_or(|old| !old.reset) {
            lines.extend(reset_line(entry));
        }
    }
    for entry in &before.entries {
        if !new.contains_key(&Identity::of(&entry.target)) {
            lines.push((log::Level::Info, format!("target {} is gone", name(&entry.target))));
        }
    }
    if !before.fail_open && after.fail_open {
        lines.extend(untold_failures(after));
    }
    lines.extend(fail_open_line(before, after));
    lines.extend(clients_line(before, after));
    if before.rebalanced_since.is_some() != after.rebalanced_since.is_some() {
        lines.push((log::Level::Info, rebalance_line(after).to_owned()));
    }
    lines.extend(zone_line(before, after));
    lines
}

fn by_identity(snapshot: &Snapshot) -> HashMap<Identity, &Entry> {
    snapshot.entries.iter().map(|entry| (Identity::of(&entry.target), entry)).collect()
}

/// One line for each new state, and for each failed attempt to connect to an ejected target that has
/// another error or another wait. That checks of an unhealthy
/// target now fail for another reason is not worth one.
fn state_line(old: Option<&Entry>, new: &Entry) -> Option<(log::Level, String)> {
    let was = |state| old.is_some_and(|old| old.state == state);
    let is_told_apart = matches!(new.state, TargetState::Ejected | TargetState::Draining);
    let has_turned = is_told_apart && old.is_some_and(|old| old.reason != new.reason);
    if was(new.state) && !has_turned {
        return None;
    }
    let is_bad = matches!(new.state, TargetState::Unhealthy | TargetState::Ejected);
    let level = if is_bad { log::Level::Warn } else { log::Level::Info };
    let is_back = new.state == TargetState::Healthy && was(TargetState::Ejected);
    let reason = new.reason.as_deref().or(is_back.then_some("it can be connected to again"));
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    Some((level, format!("target {} is {}{reason}", name(&new.target), new.state)))
}

/// How many connections that costs, if any: all cores are about to do it.
fn reset_line(entry: &Entry) -> Option<(log::Level, String)> {
    let count = match entry.counters.active() {
        0 => return None,
        1 => "1 connection is".to_owned(),
        count => format!("{count} connections are"),
    };
    // As the data plane tells them apart.
    let why = match entry.state {
        TargetState::Draining => "DRAIN_TIMEOUT is over",
        _ => "UNHEALTHY_CONNECTIONS=reset",
    };
    Some((log::Level::Warn, format!("target {}: {count} reset ({why})", name(&entry.target))))
}

/// So many targets are told of one by one.
const FAILURES_TOLD_MAX: usize = 10;

/// Why checks fail of targets of which that was not said yet, since they have not failed often
/// enough, or something else is the matter with them: fail-open may begin all the same.
fn untold_failures(after: &Snapshot) -> Vec<(log::Level, String)> {
    let told = [TargetState::Unhealthy, TargetState::Draining];
    let untold = after.entries.iter().filter(|entry| !told.contains(&entry.state));
    let mut failures: Vec<_> = untold
        .filter_map(|entry| match &entry.checks {
            Some(Checks::Failing(why)) => Some((&entry.target, why)),
            _ => None,
        })
        .map(|(target, why)| format!("target {} fails its health check: {why}", name(target)))
        .collect();
    let more = failures.len().saturating_sub(FAILURES_TOLD_MAX);
    failures.truncate(FAILURES_TOLD_MAX);
    failures
        .extend((more > 0).then(|| format!("and {more} more targets fail theirs: see /targets")));
    failures.into_iter().map(|line| (log::Level::Warn, line)).collect()
}

fn fail_open_line(before: &Snapshot, after: &Snapshot) -> Option<(log::Level, String)> {
    let (healthy, present) = after.healthy_of();
    let numbers = format!("{healthy} of {present} targets are healthy");
    let line = match (before.fail_open, after.fail_open) {
        (true, false) => return Some((log::Level::Info, format!("fail-open ends: {numbers}"))),
        (false, true) => "begins",
        (true, true) if uses_failing(before) != uses_failing(after) => "goes on",
        _ => return None,
    };
    let who = if uses_failing(after) {
        "all are used"
    } else {
        "those that pass their checks are used, ejected or not"
    };
    Some((log::Level::Warn, format!("fail-open {line}: {numbers}, so {who}")))
}

/// Whether targets get clients although their checks fail.
fn uses_failing(snapshot: &Snapshot) -> bool {
    snapshot.eligible().any(|entry| entry.checks != Some(Checks::Passing))
}

fn rebalance_line(after: &Snapshot) -> &'static str {
    match after.rebalanced_since {
        Some(_) => {
            "rebalancing begins: targets have joined; where there are too many, connections that \
             rest are closed (REBALANCE_RATE)"
        }
        None => "rebalancing ends",
    }
}

fn name(target: &Target) -> String {
    name_of(&Identity::of(target))
}

/// The address, and the id where that is another.
fn name_of(target: &Identity) -> String {
    let address = target.address.to_string();
    if target.id.as_str() == address {
        address
    } else {
        format!("{address} ({})", Escaped(target.id.as_str()))
    }
}

#[cfg(test)]
mod tests;
