use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;

use exchange::Target;

use crate::roster::Identity;

/// Consecutive well-formed answers that have to lack a target before a doubted answer is believed
/// about it.
pub(crate) const CONFIRMATIONS: u32 = 3;

/// What an API has said about the targets. An error is no answer: it is not shown to a [`Belief`].
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Well-formed and complete as far as it can tell.
    Whole(Vec<Target>),
    /// It says itself that something is missing.
    Partial(Vec<Target>),
}

/// What was made of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The targets are those of the answer.
    Believed,
    /// It was empty; targets that it lacks stay until that was confirmed.
    EmptyDoubted,
    /// It lacked more targets than the limit allows; those stay until that was confirmed.
    ShrunkDoubted,
    /// Targets that it lacks stay, however often this is repeated.
    Partial,
}

/// Which targets there are, given the answers of an API that can be wrong. Pure.
///
/// An answer that lacks no more than the limit's share of what is believed holds at once. One that
/// is empty, or lacks more, is doubted: a target leaves only if three consecutive well-formed
/// answers lack it, and what the answer has beyond what is believed joins at once, unless its
/// address belongs to a target that may still be there. Errors and partial answers in between
/// neither count nor start the count anew.
#[derive(Debug)]
pub(crate) struct Belief {
    /// In percent: the largest share of the targets that a single answer may remove.
    shrink_limit: u8,
    members: BTreeMap<Identity, Member>,
}

#[derive(Debug)]
struct Member {
    target: Target,
    /// Consecutive doubted answers that lacked it.
    absences: u32,
    /// Whether it was part of an answer that was believed. Others must not dilute the share of
    /// what an answer lacks.
    confirmed: bool,
}

impl Belief {
    /// Believes in no target yet. `shrink_limit` is in percent (0-100).
    pub(crate) fn new(shrink_limit: u8) -> Self {
        Self { shrink_limit, members: BTreeMap::new() }
    }

    /// The targets that there are, in order of their identity.
    pub(crate) fn targets(&self) -> Vec<Target> {
        self.members.values().map(|member| member.target.clone()).collect()
    }

    /// How many targets there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Takes an answer into account.
    pub(crate) fn observe(&mut self, answer: Answer) -> Verdict {
        match answer {
            Answer::Partial(targets) => {
                self.admit(targets);
                Verdict::Partial
            }
            Answer::Whole(targets) => self.observe_whole(targets),
        }
    }

    fn observe_whole(&mut self, targets: Vec<Target>) -> Verdict {
        let present: HashSet<_> = targets.iter().map(Identity::of).collect();
        if self.is_doubtful(&present) {
            for (identity, member) in &mut self.members {
                member.absences = if present.contains(identity) { 0 } else { member.absences + 1 };
            }
            self.members.retain(|_, member| member.absences < CONFIRMATIONS);
        } else {
            self.members.retain(|identity, _| present.contains(identity));
        }
        self.admit(targets);
        if !self.members.keys().all(|identity| present.contains(identity)) {
            return if present.is_empty() { Verdict::EmptyDoubted } else { Verdict::ShrunkDoubted };
        }
        for member in self.members.values_mut() {
            member.absences = 0;
            member.confirmed = true;
        }
        Verdict::Believed
    }

    fn is_doubtful(&self, present: &HashSet<Identity>) -> bool {
        let absent = |(identity, _): &(&Identity, &Member)| !present.contains(identity);
        let confirmed = |(_, member): &(&Identity, &Member)| member.confirmed;
        let lacks_too_many =
            |lacking: usize, of: usize| lacking * 100 > usize::from(self.shrink_limit) * of;
        let lacking = self.members.iter().filter(absent).count();
        let confirmed_lacking = self.members.iter().filter(confirmed).filter(absent).count();
        lacking > 0
            && (present.is_empty()
                || lacks_too_many(lacking, self.members.len())
                || lacks_too_many(confirmed_lacking, self.members.iter().filter(confirmed).count()))
    }

    /// Lets newcomers in and corrects what is known of the others. An address belongs to one
    /// target at a time: to the one that is believed to be there, as long as it is.
    fn admit(&mut self, targets: Vec<Target>) {
        let mut taken: HashSet<SocketAddr> = self.members.keys().map(|i| i.address).collect();
        for target in targets {
            let identity = Identity::of(&target);
            if let Some(member) = self.members.get_mut(&identity) {
                member.target = target;
            } else if taken.insert(target.address) {
                self.members.insert(identity, Member { target, absences: 0, confirmed: false });
            }
        }
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
