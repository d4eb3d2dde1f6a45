use std::collections::{BTreeSet, HashSet};

use exchange::Target;
use log::Level;

use super::fault::{DnsFault, DnsFaultKind};
use super::resolved::Resolved;
use super::settings::DnsSettings;
use crate::discovery::confirmed_targets::{Answer, CONFIRMATIONS, ConfirmedTargets, Verdict};
use crate::log_lines::escaped::Escaped;

/// In percent: of an answer of DNS each absence has to be confirmed. Servers may leave out what does
/// not fit, or name some of many in turn.
const SHRINK_LIMIT: u8 = 0;

/// What follows from each refresh; each problem is told when it begins, and the end of all of them.
/// Pure.
#[derive(Debug)]
pub(super) struct DnsTracker {
    name: String,
    confirmed: ConfirmedTargets,
    /// The problems that were told and are not over.
    told: HashSet<DnsProblem>,
    /// The addresses that were told to be no targets, and still are none.
    ignored: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum DnsProblem {
    Fault(DnsFaultKind),
    /// No record where some were known, or none at all.
    Empty,
}

/// What follows from one refresh.
#[derive(Debug)]
pub(super) struct DnsProgress {
    /// The targets that there are now, if there was an answer.
    pub(super) targets: Option<Vec<Target>>,
    /// Whether the targets are what DNS says they are.
    pub(super) is_good: bool,
    /// What is worth telling.
    pub(super) lines: Vec<(Level, String)>,
}

impl DnsTracker {
    /// Knows of no target yet.
    pub(super) fn new(settings: &DnsSettings) -> Self {
        Self {
            name: settings.name.to_string(),
            confirmed: ConfirmedTargets::new(SHRINK_LIMIT),
            told: HashSet::new(),
            ignored: BTreeSet::new(),
        }
    }

    /// Takes the end of a refresh into account.
    pub(super) fn follow(&mut self, refreshed: &Result<Resolved, DnsFault>) -> DnsProgress {
        match refreshed {
            Ok(resolved) => self.follow_answer(resolved),
            Err(fault) => {
                let known = self.confirmed.len();
                let consequence = if known == 0 {
                    "no target is known until then; it is tried again".to_owned()
                } else {
                    format!("the last good targets stay in use ({known})")
                };
                let line =
                    format!("discovery: DNS name {}: {fault}. Meanwhile {consequence}", self.name);
                let lines = self.tell(DnsProblem::Fault(fault.kind), line);
                DnsProgress { targets: None, is_good: false, lines: lines.into_iter().collect() }
            }
        }
    }

    fn follow_answer(&mut self, resolved: &Resolved) -> DnsProgress {
        let answer = Answer { targets: resolved.targets.clone(), ..Answer::default() };
        let verdict = self.confirmed.observe(answer);
        let known = self.confirmed.len();
        let news = resolved.ignored.difference(&self.ignored);
        let ignored = |reason: &String| (Level::Warn, format!("discovery: {}", Escaped(reason)));
        let mut lines: Vec<_> = news.map(ignored).collect();
        self.ignored.clone_from(&resolved.ignored);
        if resolved.targets.is_empty() {
            let name = &self.name;
            let line = if verdict == Verdict::EmptyDoubted {
                format!(
                    "discovery: DNS name {name} has no records any more; until {CONFIRMATIONS} \
                     answers in a row say so, {known} targets stay in use"
                )
            } else {
                format!("discovery: DNS name {name} has no records: there is no target")
            };
            lines.extend(self.tell(DnsProblem::Empty, line));
        } else if !self.told.is_empty() {
            self.told.clear();
            let line = format!("discovery by DNS works again: {known} targets");
            lines.push((Level::Info, line));
        }
        let is_good = verdict == Verdict::Accepted;
        DnsProgress { targets: Some(self.confirmed.targets()), is_good, lines }
    }

    /// The line about a problem that has just begun.
    fn tell(&mut self, problem: DnsProblem, line: String) -> Option<(Level, String)> {
        self.told.insert(problem).then_some((Level::Warn, line))
    }
}

#[cfg(test)]
mod tests;
