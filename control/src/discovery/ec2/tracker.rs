pub(crate) mod counts;
mod log_lines;
pub(crate) mod outcome;
pub(super) mod pace;

use exchange::{Target, TargetId};
use log::Level;

use crate::discovery::confirmed_targets::{Answer, ConfirmedTargets};
use crate::discovery::ec2::fault::Fault;
use crate::discovery::ec2::poll::Found;
use crate::discovery::ec2::settings::AwsSettings;
use crate::discovery::ec2::tracker::outcome::RefreshOutcome;
use counts::InstanceCounts;
use log_lines::LogLines;

/// What follows from each refresh. Pure.
#[derive(Debug)]
pub(super) struct Tracker {
    confirmed: ConfirmedTargets,
    lines: LogLines,
}

/// What follows from one refresh.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) outcome: RefreshOutcome,
    /// What was counted, if there was an answer.
    pub(super) counts: Option<InstanceCounts>,
    /// The targets that there are now, if there was an answer that says so.
    pub(super) targets: Option<Vec<Target>>,
    /// What is worth telling.
    pub(super) lines: Vec<(Level, String)>,
}

impl Tracker {
    pub(super) fn new(settings: &AwsSettings) -> Self {
        Self {
            confirmed: ConfirmedTargets::new(settings.shrink_limit),
            lines: LogLines::new(settings),
        }
    }

    /// The targets that are confirmed.
    pub(super) fn targets(&self) -> Vec<Target> {
        self.confirmed.targets()
    }

    /// Takes the end of a refresh into account.
    pub(super) fn follow(&mut self, refreshed: Result<Found, Fault>) -> Progress {
        match refreshed {
            Ok(found) => self.follow_answer(found),
            Err(fault) => Progress {
                outcome: RefreshOutcome::Failed(fault.kind),
                counts: None,
                targets: None,
                lines: self.lines.about_fault(&fault, self.confirmed.len()),
            },
        }
    }

    fn follow_answer(&mut self, mut found: Found) -> Progress {
        let mut counts = InstanceCounts { found: found.targets.len(), ..InstanceCounts::default() };
        for ignored in &found.ignored {
            *counts.ignored.entry(ignored.reason.label()).or_default() += 1;
        }
        let ids = |ids: Vec<&str>| ids.into_iter().map(TargetId::new).collect();
        let answer = Answer {
            gone: ids(found.ignored.iter().map(|ignored| &*ignored.id).collect()),
            uncertain: ids(found.missing.iter().map(String::as_str).collect()),
            targets: std::mem::take(&mut found.targets),
        };
        let knew_any = self.confirmed.len() > 0;
        let verdict = self.confirmed.observe(answer);
        // That nobody is known says little where somebody may be there: clients go on waiting.
        let is_news = knew_any || self.confirmed.len() > 0 || found.missing.is_empty();
        let lines = self.lines.about_answer(verdict, &found, counts.found, self.confirmed.len());
        Progress {
            outcome: RefreshOutcome::Answered(verdict),
            counts: Some(counts),
            targets: is_news.then(|| self.confirmed.targets()),
            lines,
        }
    }
}

#[cfg(test)]
mod tests;
