use std::collections::BTreeMap;

use exchange::{Target, TargetId};
use log::Level;

use super::log_lines::LogLines;
use super::{AwsSettings, Fault, Found, Outcome};
use crate::discovery::belief::{Answer, Belief};

/// What follows from each refresh. Pure.
#[derive(Debug)]
pub(super) struct Tracker {
    belief: Belief,
    lines: LogLines,
}

/// What follows from one refresh.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) outcome: Outcome,
    /// What was counted, if there was an answer.
    pub(super) census: Option<Census>,
    /// The targets that there are now, if there was an answer that says so.
    pub(super) targets: Option<Vec<Target>>,
    /// What is worth telling.
    pub(super) lines: Vec<(Level, String)>,
}

/// The instances of one answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Census {
    /// How many are targets.
    pub(crate) found: usize,
    /// How many are none, by the label of the reason.
    pub(crate) ignored: BTreeMap<&'static str, usize>,
}

impl Tracker {
    pub(super) fn new(settings: &AwsSettings) -> Self {
        Self { belief: Belief::new(settings.shrink_limit), lines: LogLines::new(settings) }
    }

    /// The targets that are believed in.
    pub(super) fn targets(&self) -> Vec<Target> {
        self.belief.targets()
    }

    /// Takes the end of a refresh into account.
    pub(super) fn follow(&mut self, refreshed: Result<Found, Fault>) -> Progress {
        match refreshed {
            Ok(found) => self.follow_answer(found),
            Err(fault) => Progress {
                outcome: Outcome::Failed(fault.kind),
                census: None,
                targets: None,
                lines: self.lines.about_fault(&fault, self.belief.len()),
            },
        }
    }

    fn follow_answer(&mut self, mut found: Found) -> Progress {
        let mut census = Census { found: found.targets.len(), ..Census::default() };
        for ignored in &found.ignored {
            *census.ignored.entry(ignored.reason.label()).or_default() += 1;
        }
        let ids = |ids: Vec<&str>| ids.into_iter().map(TargetId::new).collect();
        let answer = Answer {
            gone: ids(found.ignored.iter().map(|ignored| &*ignored.id).collect()),
            uncertain: ids(found.missing.iter().map(String::as_str).collect()),
            targets: std::mem::take(&mut found.targets),
        };
        let knew_any = self.belief.len() > 0;
        let verdict = self.belief.observe(answer);
        // That nobody is known says little where somebody may be there: clients go on waiting.
        let is_news = knew_any || self.belief.len() > 0 || found.missing.is_empty();
        let lines = self.lines.about_answer(verdict, &found, census.found, self.belief.len());
        Progress {
            outcome: Outcome::Answered(verdict),
            census: Some(census),
            targets: is_news.then(|| self.belief.targets()),
            lines,
        }
    }
}

#[cfg(test)]
mod tests;
