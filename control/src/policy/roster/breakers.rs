//! What is told to the targets' circuit breakers, and what they ask for.

use std::time::Instant;

use exchange::Report;

use super::Roster;
use super::member::Member;
use crate::policy::breaker::{ConnectAttempt, Transitions};
use crate::policy::identity::Identity;
use crate::status::BreakerState;

/// Most attempts to connect to ejected targets at a time.
const ATTEMPTS_MAX: usize = 16;

impl Roster {
    /// A core has reported. Late reports of targets that are forgotten are ignored.
    pub fn reported(&mut self, report: &Report, now: Instant) {
        let Some(member) = self.members.get_mut(&Identity::of(&report.target)) else { return };
        self.transitions.count(member.breaker.failed(report, member.counters.connected(), now));
    }

    /// Whom the control plane is to connect to from now on, to find out whether they can be used
    /// again: those first that have waited longest. How each attempt ends is to be told to
    /// [`Roster::attempted`], with this `now`.
    pub fn begin_attempts(&mut self, now: Instant) -> Vec<Identity> {
        let is_tried = |member: &&Member| member.breaker.state() == BreakerState::HalfOpen;
        let under_way = self.members.values().filter(is_tried).count();
        let wanted = self.members.iter().filter(|(_, member)| member.is_wanted());
        let dues = wanted.filter_map(|(identity, member)| Some((member.breaker.due()?, identity)));
        let mut dues: Vec<_> = dues.filter(|(due, _)| *due <= now).collect();
        dues.sort();
        dues.truncate(ATTEMPTS_MAX.saturating_sub(under_way));
        let begun: Vec<_> = dues.into_iter().map(|(_, identity)| identity.clone()).collect();
        for identity in &begun {
            if let Some(member) = self.members.get_mut(identity) {
                self.transitions.count(member.breaker.attempt(now));
            }
        }
        begun
    }

    /// The attempt to connect to `target` that began then is over.
    pub fn attempted(
        &mut self,
        target: &Identity,
        began: Instant,
        result: ConnectAttempt,
        now: Instant,
    ) {
        if let Some(member) = self.members.get_mut(target) {
            self.transitions.count(member.breaker.attempted(began, result, now));
        }
    }

    /// How often circuit breakers have changed since the start.
    pub fn breaker_transitions(&self) -> Transitions {
        self.transitions
    }
}
