//! What the demo says of what happens, for those who see it for the first time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use control::status::TargetState;

use super::traffic::Mishap;

/// What goes wrong again and again is told so often.
const INTERVAL: Duration = Duration::from_secs(5);

/// Finds the words. Pure.
#[derive(Debug, Default)]
pub(super) struct Narrator {
    /// The states that were told, by the targets' numbers.
    states: BTreeMap<usize, TargetState>,
    /// What was not told yet, and how often it was.
    untold: BTreeMap<Cause, u64>,
    told_at: Option<Instant>,
}

/// A target, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) number: usize,
    pub(super) is_alive: bool,
    pub(super) state: Option<TargetState>,
}

impl Narrator {
    /// A line for each target that gets clients again, or does no more by an operator's order.
    pub(super) fn states(&mut self, targets: &[Seen]) -> Vec<String> {
        let mut lines = Vec::new();
        for Seen { number, state, .. } in targets {
            let Some(state) = *state else { continue };
            let before = self.states.insert(*number, state);
            lines.extend(match (before, state) {
                (Some(TargetState::Unhealthy | TargetState::Ejected), TargetState::Healthy) => {
                    Some(format!("target {number} is healthy again, and gets clients"))
                }
                (Some(TargetState::Draining), TargetState::Healthy) => {
                    Some(format!("target {number} is not drained any more, and gets clients"))
                }
                (Some(before), TargetState::Draining) if before != state => Some(format!(
                    "target {number} drains: it keeps the clients that it has, and gets no new ones"
                )),
                _ => None,
            });
        }
        lines
    }

    /// A line for each thing that has gone wrong for clients, with what was to blame; the same ones
    /// at most every [`INTERVAL`].
    pub(super) fn mishaps(
        &mut self,
        now: Instant,
        mishaps: BTreeMap<Mishap, u64>,
        targets: &[Seen],
    ) -> Vec<String> {
        for (mishap, count) in mishaps {
            *self.untold.entry(Cause::of(mishap, targets)).or_default() += count;
        }
        let is_due = self.told_at.is_none_or(|at| now.duration_since(at) >= INTERVAL);
        if self.untold.is_empty() || !is_due {
            return Vec::new();
        }
        self.told_at = Some(now);
        let untold = std::mem::take(&mut self.untold);
        untold.into_iter().map(|(cause, count)| cause.told(count)).collect()
    }
}

/// What was to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    Killed(usize),
    /// A target that is alive, again perhaps.
    Ended(usize),
    NobodyAlive,
    NotAnswered,
    NotConnected,
    Late,
}

impl Cause {
    fn of(mishap: Mishap, targets: &[Seen]) -> Self {
        let is_alive = |number| targets.iter().any(|it| it.number == number && it.is_alive);
        match mishap {
            Mishap::Broken(number) if is_alive(number) => Self::Ended(number),
            Mishap::Broken(number) => Self::Killed(number),
            Mishap::Unanswered if !targets.iter().any(|it| it.is_alive) => Self::NobodyAlive,
            Mishap::Unanswered => Self::NotAnswered,
            Mishap::NotConnected => Self::NotConnected,
            Mishap::Late => Self::Late,
        }
    }

    fn told(self, count: u64) -> String {
        let broken = |since: &str| {
            let connections = counted(count, "connection");
            format!(
                "{connections} broke, since {since}: what has begun on one target cannot go on on \
                 another"
            )
        };
        let turned_away =
            |since: &str| format!("{} turned away, since {since}", counted(count, "client"));
        match self {
            Self::Killed(number) => broken(&format!("target {number} was killed")),
            Self::Ended(number) => broken(&format!("target {number} ended them")),
            Self::NobodyAlive => turned_away("no target is alive"),
            Self::NotAnswered => {
                turned_away("the target that had accepted ended before it answered")
            }
            Self::NotConnected => turned_away("the balancer could not be connected to"),
            Self::Late => turned_away("no answer came in time"),
        }
    }
}

fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use TargetState::{Checking, Draining, Ejected, Healthy, Unhealthy};

    use super::*;

    fn seen(number: usize, is_alive: bool, state: TargetState) -> Seen {
        Seen { number, is_alive, state: Some(state) }
    }

    #[test]
    fn recoveries_and_drains_are_told_once() {
        let mut narrator = Narrator::default();
        let mut told = |state| narrator.states(&[seen(2, true, state)]).join("\n");
        assert_eq!(told(Checking), "");
        assert_eq!(told(Healthy), "", "a beginning is no recovery");
        assert_eq!(told(Unhealthy), "", "the balancer says so itself");
        assert_eq!(told(Healthy), "target 2 is healthy again, and gets clients");
        assert_eq!(told(Healthy), "");
        assert_eq!(told(Ejected), "");
        assert!(told(Healthy).contains("healthy again"));
        assert!(told(Draining).starts_with("target 2 drains: "));
        assert_eq!(told(Draining), "");
        assert!(told(Healthy).starts_with("target 2 is not drained any more"));
    }

    #[test]
    fn what_goes_wrong_is_explained_and_not_too_often() {
        let mut narrator = Narrator::default();
        let start = Instant::now();
        let targets = [seen(1, true, Healthy), seen(2, false, Unhealthy)];
        let broken = BTreeMap::from([(Mishap::Broken(2), 3), (Mishap::Unanswered, 1)]);
        let lines = narrator.mishaps(start, broken, &targets);
        assert_eq!(
            lines,
            [
                "3 connections broke, since target 2 was killed: what has begun on one target \
                 cannot go on on another",
                "1 client turned away, since the target that had accepted ended before it answered",
            ]
        );
        let none = [seen(1, false, Unhealthy)];
        let mut told = |seconds, count| {
            let mishaps = BTreeMap::from([(Mishap::Unanswered, count)]);
            narrator.mishaps(start + Duration::from_secs(seconds), mishaps, &none).join("\n")
        };
        assert_eq!(told(1, 50), "");
        assert_eq!(told(5, 10), "60 clients turned away, since no target is alive");
        assert_eq!(told(6, 1), "");
        // What was to blame then counts.
        let later = narrator.mishaps(start + INTERVAL * 3, BTreeMap::new(), &targets);
        assert_eq!(later, ["1 client turned away, since no target is alive"]);
    }
}
