use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use exchange::TargetId;

/// Ticks in a row that a withdrawn target has to be without connections before it is forgotten: a
/// core may be about to connect by an older snapshot.
const IDLE_TICKS: u32 = 2;

/// Whether and why a target gets no new connections. Pure.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drain {
    /// It is gone from discovery.
    withdrawn: Option<Withdrawn>,
    /// Since when an operator wants it to drain.
    operator: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Withdrawn {
    since: Instant,
    /// Ticks in a row without connections.
    idle_ticks: u32,
}

impl Drain {
    /// The target is not among those discovered.
    pub(crate) fn withdraw(&mut self, now: Instant) {
        self.withdrawn.get_or_insert(Withdrawn { since: now, idle_ticks: 0 });
    }

    /// The target is among those discovered.
    pub(crate) fn discover(&mut self) {
        self.withdrawn = None;
    }

    /// An operator wants the target to drain, since then, or does not.
    pub(crate) fn wish(&mut self, since: Option<Instant>) {
        self.operator = since;
    }

    /// Counts a tick at which the target had connections or not. True once a withdrawn target has
    /// had none for long enough.
    pub(crate) fn tick(&mut self, is_idle: bool) -> bool {
        let Some(withdrawn) = &mut self.withdrawn else { return false };
        withdrawn.idle_ticks = if is_idle { withdrawn.idle_ticks + 1 } else { 0 };
        withdrawn.idle_ticks >= IDLE_TICKS
    }

    pub(crate) fn is_withdrawn(&self) -> bool {
        self.withdrawn.is_some()
    }

    /// Whether an operator wants it to drain.
    pub(crate) fn is_ordered(&self) -> bool {
        self.operator.is_some()
    }

    /// Whether the target gets no new connections.
    pub(crate) fn is_draining(&self) -> bool {
        self.since().is_some()
    }

    /// Why it drains, for people.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        if self.is_withdrawn() {
            Some("left discovery")
        } else {
            self.operator.map(|_| "drained by operator")
        }
    }

    /// When what connections are left are reset, given how long they may go on.
    pub(crate) fn due(&self, timeout: Duration) -> Option<Instant> {
        self.since().map(|since| since + timeout)
    }

    /// New connections end with whichever came first.
    fn since(&self) -> Option<Instant> {
        let withdrawn = self.withdrawn.as_ref().map(|withdrawn| withdrawn.since);
        withdrawn.into_iter().chain(self.operator).min()
    }
}

/// Most wishes that are kept. They can be more only while more targets are known than that.
const WISHES_MAX: usize = 1000;

/// Which targets operators want to drain, by id: a wish outlives its target's being away.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    since: BTreeMap<TargetId, Instant>,
}

impl Wishes {
    /// Adds a wish unless there is one. Where there are too many, that one is forgotten that is
    /// oldest among those whose target is not known.
    pub(crate) fn add(
        &mut self,
        id: &TargetId,
        now: Instant,
        is_known: impl Fn(&TargetId) -> bool,
    ) {
        self.since.entry(id.clone()).or_insert(now);
        if self.since.len() > WISHES_MAX {
            let away = self.since.iter().filter(|(id, _)| !is_known(id));
            let oldest = away.min_by_key(|(_, since)| **since).map(|(id, _)| id.clone());
            oldest.and_then(|id| self.since.remove(&id));
        }
    }

    /// Whether there was such a wish.
    pub(crate) fn remove(&mut self, id: &TargetId) -> bool {
        self.since.remove(id).is_some()
    }

    /// Whom there are wishes for beside these, in order; [`WISHES_MAX`] at most.
    pub(crate) fn except(&self, these: &BTreeSet<&TargetId>) -> Vec<TargetId> {
        let others = self.since.keys().filter(|id| !these.contains(id));
        others.take(WISHES_MAX).cloned().collect()
    }

    /// Since when there is such a wish.
    pub(crate) fn since(&self, id: &TargetId) -> Option<Instant> {
        self.since.get(id).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_bounded_and_those_for_known_targets_are_kept() {
        let id = |n: usize| TargetId::new(&format!("i-{n}"));
        let start = Instant::now();
        let mut wishes = Wishes::default();
        for n in 0..WISHES_MAX + 10 {
            // Only the first one is still known.
            wishes.add(&id(n), start + Duration::from_secs(n as u64), |it| *it == id(0));
        }
        assert_eq!(wishes.since.len(), WISHES_MAX);
        assert_eq!(wishes.since(&id(0)), Some(start));
        assert_eq!(wishes.since(&id(10)), None);
        assert!(wishes.since(&id(11)).is_some());
        let others = wishes.except(&[&id(0), &id(11)].into());
        assert_eq!((others.len(), others.contains(&id(0))), (WISHES_MAX - 2, false));
        for n in 0..WISHES_MAX + 10 {
            wishes.add(&id(n), start, |_| true); // all of them are known
        }
        assert_eq!(wishes.except(&BTreeSet::new()).len(), WISHES_MAX);
        wishes.add(&id(0), start + Duration::from_secs(9), |_| true);
        assert_eq!(wishes.since(&id(0)), Some(start), "a wish is not renewed");
        assert!(wishes.remove(&id(0)) && !wishes.remove(&id(0)));
    }

    #[test]
    fn the_time_runs_from_whichever_came_first() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let due = |drain: &Drain| drain.due(Duration::from_secs(100));
        let mut drain = Drain::default();
        assert_eq!(due(&drain), None);
        drain.wish(Some(after(10)));
        drain.withdraw(after(20));
        assert_eq!((due(&drain), drain.reason()), (Some(after(110)), Some("left discovery")));
        drain.discover();
        assert_eq!((due(&drain), drain.reason()), (Some(after(110)), Some("drained by operator")));
        drain.wish(None);
        assert!(!drain.is_draining() && drain.reason().is_none());
    }
}
