use std::collections::BTreeSet;

use super::escaped::Quoted;
use crate::status::Status;

/// Most zones that are named in a log line; regions have up to six.
const ZONES_TOLD_MAX: usize = 10;

/// The line to log when the own zone is known and, from this status on, none of the targets is
/// there: then no zone is preferred.
pub(super) fn zone_line(before: &Status, after: &Status) -> Option<(log::Level, String)> {
    if is_alone(before) || !is_alone(after) {
        return None;
    }
    let own = Quoted(own_zone(after).unwrap_or_default());
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

fn is_alone(status: &Status) -> bool {
    let own = own_zone(status);
    let mut zones = zones(status).peekable();
    own.is_some() && zones.peek().is_some() && zones.all(|zone| zone != own)
}

fn own_zone(status: &Status) -> Option<&str> {
    status.snapshot().own_zone().map(|zone| &**zone)
}

/// The zone of each target that is not draining; none where it is unknown.
fn zones(status: &Status) -> impl Iterator<Item = Option<&str>> {
    status.present().map(|it| it.target().zone.as_deref())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use exchange::{Entry, Generation, Routing, Snapshot, Target, TargetCounters};

    use super::*;
    use crate::status::{Condition, TargetState};

    fn status(own: Option<&str>, targets: &[(&str, TargetState)]) -> Status {
        let entry = |(zone, _): &(&str, TargetState)| {
            let mut target = Target::at("10.0.0.1:80".parse().unwrap());
            target.zone = Some(*zone).filter(|zone| !zone.is_empty()).map(Into::into);
            let counters = Arc::new(TargetCounters::new(1));
            Entry::new(Arc::new(target), counters)
        };
        let entries = targets.iter().map(entry).collect();
        let routing = Routing::to(entries).with_own_zone(own.map(Into::into));
        let condition = |(_, state): &(_, _)| Condition { state: *state, ..Condition::default() };
        let conditions = targets.iter().map(condition).collect();
        let snapshot = Snapshot::new(Generation::default(), routing);
        Status::new(Arc::new(snapshot), false, conditions, Vec::new())
    }

    #[test]
    fn a_zone_without_targets_is_told_when_it_gets_so() {
        use TargetState::{Checking, Draining, Healthy};

        let fine = status(Some("a"), &[("a", Healthy), ("b", Healthy)]);
        let alone = status(Some("a"), &[("a", Draining), ("b", Checking), ("", Healthy)]);
        let (level, line) = zone_line(&fine, &alone).unwrap();
        assert_eq!(level, log::Level::Warn);
        assert!(
            line.contains("zone \"a\",") && line.contains("targets: unknown, \"b\"."),
            "{line}"
        );
        assert_eq!(zone_line(&Status::default(), &alone), Some((level, line)));
        assert_eq!(zone_line(&alone, &alone), None);
        assert_eq!(zone_line(&alone, &fine), None);
        let nothing_to_say = [
            status(Some("a"), &[]),
            status(Some("a"), &[("a", Draining)]),
            status(None, &[("b", Healthy)]),
        ];
        for after in nothing_to_say {
            assert_eq!(zone_line(&fine, &after), None, "{after:?}");
        }
    }
}
