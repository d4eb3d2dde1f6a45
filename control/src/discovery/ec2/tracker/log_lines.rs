use std::collections::HashSet;
use std::time::Duration;

use log::Level;

use crate::discovery::confirmed_targets::{CONFIRMATIONS, Verdict};
use crate::discovery::ec2::fault::{Fault, FaultKind};
use crate::discovery::ec2::mode::Mode;
use crate::discovery::ec2::poll::Found;
use crate::discovery::ec2::poll::filter::Ignored;
use crate::discovery::ec2::settings::AwsSettings;
use crate::log_lines::escaped::Escaped;

/// What to tell about refreshes: each problem when it begins, and the end of all of them. Nothing
/// is told each period.
#[derive(Debug)]
pub(super) struct LogLines {
    mode: Mode,
    region: String,
    period: Duration,
    shrink_limit: u8,
    /// The problems that were told and are not over.
    told: HashSet<KnownProblem>,
    /// The instances that were told to be no targets, and still are none.
    ignored: HashSet<Ignored>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum KnownProblem {
    /// By its sort.
    Fault(FaultKind, &'static str, &'static str),
    Answer(Oddity),
}

/// What can be odd about an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Oddity {
    NoGroup,
    NoTarget,
    Empty,
    Shrunk,
    Partial,
}

impl LogLines {
    pub(super) fn new(settings: &AwsSettings) -> Self {
        Self {
            mode: settings.mode.clone(),
            region: settings.region().to_owned(),
            period: settings.period,
            shrink_limit: settings.shrink_limit,
            told: HashSet::new(),
            ignored: HashSet::new(),
        }
    }

    /// `known` targets stay in use.
    pub(super) fn about_fault(&mut self, fault: &Fault, known: usize) -> Vec<(Level, String)> {
        let (kind, action, headline) = fault.sort();
        if !self.told.insert(KnownProblem::Fault(kind, action, headline)) {
            return Vec::new();
        }
        let consequence = if known == 0 {
            format!("no target is known until then; it is tried again every {:?}", self.period)
        } else {
            format!("the last good targets stay in use ({known})")
        };
        vec![(Level::Warn, format!("discovery: {fault}. Meanwhile {consequence}"))]
    }

    /// `found` targets are in the answer, `known` ones are in use after it.
    pub(super) fn about_answer(
        &mut self,
        verdict: Verdict,
        answer: &Found,
        found: usize,
        known: usize,
    ) -> Vec<(Level, String)> {
        let mut lines = self.about_ignored(answer);
        let oddity = match verdict {
            Verdict::Accepted if !answer.group_exists => Some(Oddity::NoGroup),
            Verdict::Accepted if known == 0 => Some(Oddity::NoTarget),
            Verdict::Accepted => None,
            Verdict::EmptyDoubted => Some(Oddity::Empty),
            Verdict::ShrunkDoubted => Some(Oddity::Shrunk),
            Verdict::Partial => Some(Oddity::Partial),
        };
        if verdict == Verdict::Accepted {
            let had_problems = !self.told.is_empty();
            self.told.retain(|told| Some(*told) == oddity.map(KnownProblem::Answer));
            if had_problems && oddity.is_none() {
                lines.push((Level::Info, format!("discovery works again: {known} targets")));
            }
        }
        if let Some(oddity) = oddity
            && self.told.insert(KnownProblem::Answer(oddity))
        {
            lines.push((Level::Warn, self.line(oddity, answer, found, known)));
        }
        lines
    }

    /// A line for each instance that turned out to be unusable.
    fn about_ignored(&mut self, answer: &Found) -> Vec<(Level, String)> {
        let unusable = answer.ignored.iter().filter(|ignored| !ignored.reason.is_ordinary());
        let unusable: HashSet<_> = unusable.cloned().collect();
        let news = answer.ignored.iter().filter(|ignored| unusable.contains(ignored));
        let news = news.filter(|ignored| !self.ignored.contains(ignored));
        let lines = news.map(|ignored| (Level::Warn, format!("discovery: {ignored}"))).collect();
        self.ignored = unusable;
        lines
    }

    fn line(&self, oddity: Oddity, answer: &Found, found: usize, known: usize) -> String {
        let (region, mode) = (&self.region, &self.mode);
        let doubt = |what: &str| {
            format!(
                "discovery: {what}; until {CONFIRMATIONS} answers in a row say so, {known} targets \
                 stay in use"
            )
        };
        match oddity {
            Oddity::NoGroup => format!(
                "discovery: region {region} has no such Auto Scaling Group; check ASG_NAME and \
                 AWS_REGION. Looked for: {mode}"
            ),
            Oddity::NoTarget => format!(
                "discovery: there is no target in region {region} ({} instances are ignored). \
                 Looked for: {mode}",
                answer.ignored.len()
            ),
            Oddity::Empty => doubt("AWS knows of no target any more"),
            Oddity::Shrunk => doubt(&format!(
                "AWS knows of {found} targets only, which would remove more than {} % of them \
                 (DISCOVERY_SHRINK_LIMIT)",
                self.shrink_limit
            )),
            Oddity::Partial => {
                let first = answer.missing.first().map_or("", String::as_str);
                format!(
                    "discovery: EC2 does not know {} members that the group has in service ({} …); \
                     those that were targets stay, and all else takes effect",
                    answer.missing.len(),
                    Escaped(first)
                )
            }
        }
    }
}
