use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;

use exchange::{Target, TargetId};

use crate::policy::identity::Identity;

/// Consecutive well-formed answers that have to lack a target before a doubted answer is accepted
/// about it.
pub(crate) const CONFIRMATIONS: u32 = 3;

/// What an API has said about the targets, well-formed. An error is no answer: it is not shown to a
/// [`ConfirmedTargets`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// Those that there are. No two have the same address.
    pub(crate) targets: Vec<Target>,
    /// The ids that it says are no targets.
    pub(crate) gone: HashSet<TargetId>,
    /// The ids that it says are there, without saying what they are.
    pub(crate) uncertain: HashSet<TargetId>,
}

/// What was made of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The targets are those of the answer.
    Accepted,
    /// It was empty; targets that it lacks stay until that was confirmed.
    EmptyDoubted,
    /// It lacked more targets than the limit allows; those stay until that was confirmed.
    ShrunkDoubted,
    /// The targets are those of the answer, and those that it is uncertain about.
    Partial,
}

/// Which targets there are, given the answers of an API that can be wrong by leaving something out.
/// Pure.
///
/// What an answer says holds at once: who is there, who is gone, who is at another address. Of the
/// rest it does not mention at most the limit's share, and mentions somebody; else it is doubted: a
/// target leaves only if three consecutive answers do not mention it. What is new joins at once, unless
/// its address belongs to a target that may still be there. One that an answer is uncertain about
/// stays, however often that is repeated. For it such an answer neither counts nor starts the count
/// anew, and nor does an error for anybody.
#[derive(Debug)]
pub(crate) struct ConfirmedTargets {
    /// In percent: the largest share of the targets that a single answer may remove.
    shrink_limit: u8,
    members: BTreeMap<Identity, KnownTarget>,
}

#[derive(Debug)]
struct KnownTarget {
    target: Target,
    /// Consecutive doubted answers that lacked it.
    absences: u32,
    /// Whether it was part of an answer that was accepted. Others must not dilute the share of
    /// what an answer lacks.
    confirmed: bool,
}

impl ConfirmedTargets {
    /// Knows of no target yet. `shrink_limit` is in percent (0-100).
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
        let Answer { targets, gone, uncertain } = answer;
        let elsewhere: HashSet<_> = targets.iter().map(|target| target.id.clone()).collect();
        let present: HashSet<_> = targets.iter().map(Identity::of).collect();
        let is_stated = |it: &Identity| gone.contains(&it.id) || elsewhere.contains(&it.id);
        self.members.retain(|identity, _| present.contains(identity) || !is_stated(identity));

        let all = Share::of(self.members.values());
        let is_lacking = |it: &Identity| !present.contains(it) && !uncertain.contains(&it.id);
        let lacking = self.members.iter().filter(|(identity, _)| is_lacking(identity));
        let lacking = Share::of(lacking.map(|(_, member)| member));
        let is_doubtful =
            lacking.all > 0 && (present.is_empty() || lacking.exceeds(self.shrink_limit, &all));
        self.members.retain(|identity, member| {
            if is_lacking(identity) {
                member.absences += 1;
                return is_doubtful && member.absences < CONFIRMATIONS;
            }
            if present.contains(identity) {
                member.absences = 0;
            }
            true
        });
        self.add(targets);
        if self.members.keys().any(is_lacking) {
            return if present.is_empty() { Verdict::EmptyDoubted } else { Verdict::ShrunkDoubted };
        }
        for (identity, member) in &mut self.members {
            member.confirmed |= present.contains(identity);
        }
        if uncertain.is_empty() { Verdict::Accepted } else { Verdict::Partial }
    }

    /// Lets newcomers in and corrects what is known of the others. An address belongs to one
    /// target at a time: to the one that is known to be there, as long as it is.
    fn add(&mut self, targets: Vec<Target>) {
        let mut taken: HashSet<SocketAddr> = self.members.keys().map(|i| i.address).collect();
        for target in targets {
            let identity = Identity::of(&target);
            if let Some(member) = self.members.get_mut(&identity) {
                member.target = target;
            } else if taken.insert(target.address) {
                self.members
                    .insert(identity, KnownTarget { target, absences: 0, confirmed: false });
            }
        }
    }
}

/// How many targets, and how many of them were confirmed.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    all: usize,
    confirmed: usize,
}

impl Share {
    fn of<'a>(members: impl Iterator<Item = &'a KnownTarget>) -> Self {
        members.fold(Self::default(), |share, member| Self {
            all: share.all + 1,
            confirmed: share.confirmed + usize::from(member.confirmed),
        })
    }

    /// Whether these are more than `limit` percent of `whole`, counted either way.
    fn exceeds(self, limit: u8, whole: &Self) -> bool {
        let too_many = |part: usize, of: usize| part * 100 > usize::from(limit) * of;
        too_many(self.all, whole.all) || too_many(self.confirmed, whole.confirmed)
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
