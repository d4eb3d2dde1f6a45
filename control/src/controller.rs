use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use exchange::{Entry, Publisher, Snapshot, Target, TargetState};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::probe::Failure;
use crate::prober::{Checked, Prober};
use crate::roster::{Identity, Roster};

/// How often withdrawn targets are looked at.
const TICK: Duration = Duration::from_secs(1);

/// Events under way to the controller; whoever finds the queue full waits.
pub(crate) const EVENT_QUEUE: usize = 1024;

/// Most zones that are named in a log line; regions have up to six.
const ZONES_TOLD_MAX: usize = 10;

/// What the controller reacts to.
#[derive(Debug)]
pub(crate) enum Event {
    /// The targets are these now.
    Discovered(Vec<Target>),
    /// This balancer is in this zone.
    Located(Arc<str>),
    /// A target was checked.
    Checked(Checked),
}

/// The one place where decisions are made: takes events in, gives snapshots out.
#[derive(Debug)]
pub(crate) struct Controller {
    pub(crate) roster: Roster,
    pub(crate) prober: Prober,
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
    if !is_alone_in_its_zone(before) && is_alone_in_its_zone(after) {
        lines.push(alone_line(after));
    }
    lines
}

/// Whether the own zone is known, and none of the targets is there.
fn is_alone_in_its_zone(snapshot: &Snapshot) -> bool {
    let mut zones = present_zones(snapshot).peekable();
    snapshot.own_zone.is_some()
        && zones.peek().is_some()
        && zones.all(|zone| zone != snapshot.own_zone.as_deref())
}

/// The zone of each target that is not draining; none where it is unknown.
fn present_zones(snapshot: &Snapshot) -> impl Iterator<Item = Option<&str>> {
    let present = snapshot.entries.iter().filter(|entry| entry.state != TargetState::Draining);
    present.map(|entry| entry.target.zone.as_deref())
}

fn alone_line(after: &Snapshot) -> (log::Level, String) {
    let own = after.own_zone.as_deref().unwrap_or_default();
    let zones: BTreeSet<_> = present_zones(after).map(|zone| zone.unwrap_or("unknown")).collect();
    let zones: Vec<_> = zones.into_iter().take(ZONES_TOLD_MAX).collect();
    let line = format!(
        "no target is in the balancer's own zone {own}, so none is preferred; zones of targets: \
         {}. If there should be one, check AVAILABILITY_ZONE",
        zones.join(", ")
    );
    (log::Level::Warn, line)
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

    #[test]
    fn a_zone_without_targets_is_told_once_each_time_it_gets_so() {
        let mut roster = Roster::new(Rules { rise: 1, fall: 1, fail_open_threshold: 0, cores: 1 });
        let at = |address: &str| Target::at(address.parse().unwrap());
        let [a, b] = [at("10.0.0.1:80").in_zone("a"), at("10.0.0.2:80").in_zone("b")];
        let mut before = roster.snapshot();
        let mut alone = |roster: &mut Roster| {
            let after = roster.snapshot();
            let lines = changes(&before, &after, None);
            before = after;
            lines.into_iter().filter(|(_, line)| line.contains("own zone")).collect::<Vec<_>>()
        };
        roster.located("a".into());
        assert!(alone(&mut roster).is_empty(), "without targets there is nothing to say");
        roster.discovered(vec![a.clone(), b.clone()]);
        assert!(alone(&mut roster).is_empty());
        roster.discovered(vec![b.clone(), at("10.0.0.3:80")]);
        let told = alone(&mut roster);
        let [(log::Level::Warn, line)] = &told[..] else { panic!("{told:?}") };
        assert!(line.contains("zone a,") && line.contains("targets: b, unknown."), "{line}");
        roster.discovered(vec![b.clone()]);
        assert!(alone(&mut roster).is_empty());
        roster.discovered(vec![a, b.clone()]);
        assert!(alone(&mut roster).is_empty());
        roster.discovered(vec![b]);
        assert_eq!(alone(&mut roster).len(), 1);
    }
}
