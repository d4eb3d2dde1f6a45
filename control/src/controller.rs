use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use exchange::{Affinity, Entry, Publisher, Snapshot, Target, TargetState};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::affinity::{self, Tables};
use crate::probe::Failure;
use crate::prober::{Checked, Prober};
use crate::roster::{Identity, Roster};

/// How often withdrawn targets are looked at.
const TICK: Duration = Duration::from_secs(1);

/// Events under way to the controller; whoever finds the queue full waits.
pub(crate) const EVENT_QUEUE: usize = 1024;

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
}

/// The one place where decisions are made: takes events in, gives snapshots out.
#[derive(Debug)]
pub(crate) struct Controller {
    pub(crate) roster: Roster,
    pub(crate) prober: Prober,
    /// Where clients keep their targets.
    pub(crate) tables: Option<Tables>,
    /// For what is made on other threads.
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) publisher: Publisher,
    pub(crate) snapshots: watch::Sender<Arc<Snapshot>>,
}

impl Controller {
    /// Runs until every sender of events is gone, which is at the runtime's end.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<Event>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.handle(event),
                    None => return,
                },
                _ = ticks.tick() => {
                    self.roster.tick();
                    self.publish(None);
                }
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Discovered(targets) => {
                self.roster.discovered(targets);
                self.publish(None);
            }
            Event::Located(zone) => {
                self.roster.located(zone);
                self.publish(None);
            }
            Event::Checked(Checked { target, result }) => {
                self.roster.checked(&target, result.is_ok());
                self.publish(result.err().as_ref());
            }
            Event::Mapped(affinity) => {
                if let Some(tables) = &mut self.tables {
                    tables.built();
                }
                self.roster.mapped(affinity);
                self.publish(None);
            }
        }
    }

    /// Publishes what has changed, if anything, and logs it. `failure` is what led to it.
    fn publish(&mut self, failure: Option<&Failure>) {
        let after = self.roster.snapshot();
        let before = Arc::clone(&self.snapshots.borrow());
        if Arc::ptr_eq(&before, &after) || before.generation == after.generation {
            return;
        }
        self.publisher.publish(&after);
        self.snapshots.send_replace(Arc::clone(&after));
        let present = after.entries.iter().filter(|entry| entry.state != TargetState::Draining);
        self.prober.check_only(present.map(|entry| &*entry.target));
        for (level, line) in changes(&before, &after, failure) {
            log::log!(level, "{line}");
        }
        self.map(&after);
    }

    /// Has the affinity table follow the eligible targets.
    fn map(&mut self, snapshot: &Snapshot) {
        if let Some(targets) = self.tables.as_mut().and_then(|tables| tables.next(snapshot)) {
            let events = self.events.clone();
            affinity::build(targets, move |affinity| {
                // Nobody listens only if the process is ending anyway.
                let _ = events.blocking_send(Event::Mapped(affinity));
            });
        }
    }
}

/// The log lines that tell `after` from `before`.
fn changes(
    before: &Snapshot,
    after: &Snapshot,
    failure: Option<&Failure>,
) -> Vec<(log::Level, String)> {
    let by_identity = |snapshot: &Snapshot| -> HashMap<Identity, TargetState> {
        let entries = snapshot.entries.iter();
        entries.map(|entry| (Identity::of(&entry.target), entry.state)).collect()
    };
    let (old, new) = (by_identity(before), by_identity(after));
    let mut lines = Vec::new();
    for entry in &after.entries {
        let old = old.get(&Identity::of(&entry.target));
        if old != Some(&entry.state) {
            lines.push(arrival_line(entry, failure));
        }
    }
    for entry in &before.entries {
        if !new.contains_key(&Identity::of(&entry.target)) {
            lines.push((log::Level::Info, format!("target {} is gone", name(&entry.target))));
        }
    }
    let are_left = |snapshot: &Snapshot| {
        snapshot.entries.iter().any(|entry| entry.state != TargetState::Draining)
    };
    if are_left(before) && !are_left(after) {
        let line = "no targets are left: clients are turned away until there are some";
        lines.push((log::Level::Warn, line.to_owned()));
    }
    if before.fail_open != after.fail_open {
        lines.push(fail_open_line(after));
    }
    lines
}

fn arrival_line(entry: &Entry, failure: Option<&Failure>) -> (log::Level, String) {
    let level = match entry.state {
        TargetState::Unhealthy | TargetState::Ejected => log::Level::Warn,
        _ => log::Level::Info,
    };
    let reason = failure.filter(|_| entry.state == TargetState::Unhealthy);
    let reason = reason.map(|failure| format!(": {failure}")).unwrap_or_default();
    (level, format!("target {} is {}{reason}", name(&entry.target), entry.state))
}

fn fail_open_line(after: &Snapshot) -> (log::Level, String) {
    let count = |state| after.entries.iter().filter(|entry| entry.state == state).count();
    let present = after.entries.len() - count(TargetState::Draining);
    let healthy = count(TargetState::Healthy);
    if after.fail_open {
        let line = format!(
            "fail-open begins: {healthy} of {present} targets are healthy, so all are used"
        );
        (log::Level::Warn, line)
    } else {
        (log::Level::Info, format!("fail-open ends: {healthy} of {present} targets are healthy"))
    }
}

/// The address, and the id where that is another.
fn name(target: &Target) -> String {
    let address = target.address.to_string();
    if target.id.as_str() == address { address } else { format!("{address} ({})", target.id) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roster::Rules;
    use exchange::TargetId;

    #[test]
    fn each_change_is_told_once_with_its_reason() {
        let mut roster = Roster::new(Rules { rise: 1, fall: 1, fail_open_threshold: 0, cores: 1 });
        let first = Target::at("10.0.0.1:80".parse().unwrap());
        let second = Target { id: TargetId::new("i-2"), ..first.clone() };
        let mut before = roster.snapshot();
        let mut lines = |roster: &mut Roster, failure: Option<&Failure>| -> Vec<String> {
            let after = roster.snapshot();
            let lines = changes(&before, &after, failure);
            before = after;
            lines.into_iter().map(|(level, line)| format!("{level} {line}")).collect()
        };

        roster.discovered(vec![first.clone()]);
        assert_eq!(lines(&mut roster, None), ["INFO target 10.0.0.1:80 is checking"]);
        roster.checked(&Identity::of(&first), true);
        assert_eq!(lines(&mut roster, None), ["INFO target 10.0.0.1:80 is healthy"]);
        roster.checked(&Identity::of(&first), false);
        assert_eq!(
            lines(&mut roster, Some(&Failure::Status(503))),
            [
                "WARN target 10.0.0.1:80 is unhealthy: status 503",
                "WARN fail-open begins: 0 of 1 targets are healthy, so all are used",
            ]
        );
        assert!(lines(&mut roster, Some(&Failure::Status(503))).is_empty());
        roster.discovered(vec![second]);
        assert_eq!(
            lines(&mut roster, None),
            [
                "INFO target 10.0.0.1:80 is draining",
                "INFO target 10.0.0.1:80 (i-2) is checking",
                "INFO fail-open ends: 0 of 1 targets are healthy",
            ]
        );
        roster.tick();
        roster.tick();
        assert_eq!(lines(&mut roster, None), ["INFO target 10.0.0.1:80 is gone"]);
        roster.discovered(vec![]);
        let none = "WARN no targets are left: clients are turned away until there are some";
        assert!(lines(&mut roster, None).contains(&none.to_owned()));
        roster.tick();
        roster.tick();
        assert!(!lines(&mut roster, None).contains(&none.to_owned()));
    }
}
