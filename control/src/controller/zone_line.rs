use std::collections::BTreeSet;

use exchange::{Snapshot, TargetState};

use crate::escaped::Quoted;

/// Most zones that are named in a log line; regions have up to six.
const ZONES_TOLD_MAX: usize = 10;

/// The line to log when the own zone is known and, from this snapshot on, none of the targets is
/// there: then no zone is preferred.
pub(super) fn zone_line(before: &Snapshot, after: &Snapshot) -> Option<(log::Level, String)> {
    if is_alone(before) || !is_alone(after) {
        return None;
    }
    let own = Quoted(after.own_zone.as_deref().unwrap_or_default());
    // Those that are unknown come first.
    let zones: BTreeSet<_> = zones(after).collect();
    let zones = zones.into_iter().take(ZONES_TOLD_MAX);
    let zones: Vec<_> = zones
        .map(|zone| zone.map_or("unknown".to_owned(), |zone| Quoted(zone).to_string()))
        .collect();
    let line = format!(
        "no target is in the balancer's own zone {own}, so none is preferred; zones of targets: \
         {}. If there should be one, check AVAILABILITY_ZONE",
        zones.join(", ")
    );
    Some((log::Level::Warn, line))
}

fn is_alone(snapshot: &Snapshot) -> bool {
    let mut zones = zones(snapshot).peekable();
    snapshot.own_zone.is_some()
        && zones.peek().is_some()
        && zones.all(|zone| zone != snapshot.own_zone.as_deref())
}

/// The zone of each target that is not draining; none where it is unknown.
fn zones(snapshot: &Snapshot) -> impl Iterator<Item = Option<&str>> {
    let present = snapshot.entries.iter().filter(|entry| entry.state != TargetState::Draining);
    present.map(|entry| entry.target.zone.as_deref())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use exchange::{Entry, Target, TargetCounters};

    use super::*;

    fn snapshot(own: Option<&str>, targets: &[(&str, TargetState)]) -> Snapshot {
        let entry = |(zone, state): &(&str, TargetState)| {
            let mut target = Target::at("10.0.0.1:80".parse().unwrap());
            target.zone = Some(*zone).filter(|zone| !zone.is_empty()).map(Into::into);
            let counters = Arc::new(TargetCounters::new(1));
            Entry { state: *state, ..Entry::new(Arc::new(target), counters) }
        };
        let entries = targets.iter().map(entry).collect();
        Snapshot { own_zone: own.map(Into::into), entries, ..Snapshot::default() }
    }

    #[test]
    fn a_zone_without_targets_is_told_when_it_gets_so() {
        use TargetState::{Checking, Draining, Healthy};

        let fine = snapshot(Some("a"), &[("a", Healthy), ("b", Healthy)]);
        let alone = snapshot(Some("a"), &[("a", Draining), ("b", Checking), ("", Healthy)]);
        let (level, line) = zone_line(&fine, &alone).unwrap();
        assert_eq!(level, log::Level::Warn);
        assert!(
            line.contains("zone \"a\",") && line.contains("targets: unknown, \"b\"."),
            "{line}"
        );
        assert_eq!(zone_line(&Snapshot::default(), &alone), Some((level, line)));
        assert_eq!(zone_line(&alone, &alone), None);
        assert_eq!(zone_line(&alone, &fine), None);
        let nothing_to_say = [
            snapshot(Some("a"), &[]),
            snapshot(Some("a"), &[("a", Draining)]),
            snapshot(None, &[("b", Healthy)]),
        ];
        for after in nothing_to_say {
            assert_eq!(zone_line(&fine, &after), None, "{after:?}");
        }
    }
}
