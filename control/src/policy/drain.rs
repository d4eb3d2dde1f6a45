use std::time::{Duration, Instant};

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
    pub(crate) fn order(&mut self, since: Option<Instant>) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_runs_from_whichever_came_first() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let due = |drain: &Drain| drain.due(Duration::from_secs(100));
        let mut drain = Drain::default();
        assert_eq!(due(&drain), None);
        drain.order(Some(after(10)));
        drain.withdraw(after(20));
        assert_eq!((due(&drain), drain.reason()), (Some(after(110)), Some("left discovery")));
        drain.discover();
        assert_eq!((due(&drain), drain.reason()), (Some(after(110)), Some("drained by operator")));
        drain.order(None);
        assert!(!drain.is_draining() && drain.reason().is_none());
    }
}
