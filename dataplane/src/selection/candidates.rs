use std::rc::Rc;
use std::time::Instant;

use crate::selection::local_target::LocalTarget;

/// Targets to choose from, sorted out beforehand so that a choice costs little.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    all: Vec<Rc<LocalTarget>>,
    /// Those that don't ramp; empty, too, while none does.
    steady: Vec<Rc<LocalTarget>>,
    /// When the last ramp ends.
    ramps_until: Option<Instant>,
}

impl FromIterator<Rc<LocalTarget>> for Candidates {
    fn from_iter<I: IntoIterator<Item = Rc<LocalTarget>>>(targets: I) -> Self {
        let all: Vec<_> = targets.into_iter().collect();
        let ramps = all.iter().filter_map(|target| target.status().ramp());
        let ramps_until = ramps.map(|ramp| ramp.end()).max();
        let steady = match ramps_until {
            Some(_) => {
                all.iter().filter(|target| target.status().ramp().is_none()).cloned().collect()
            }
            None => Vec::new(),
        };
        Self { all, steady, ramps_until }
    }
}

impl Candidates {
    pub(crate) fn all(&self) -> &[Rc<LocalTarget>] {
        &self.all
    }

    /// Whether the share of any of them still grows.
    pub(crate) fn are_ramping(&self, now: Instant) -> bool {
        self.ramps_until.is_some_and(|until| now < until)
    }

    /// While they are ramping: those that get their full share.
    pub(crate) fn steady(&self) -> &[Rc<LocalTarget>] {
        &self.steady
    }
}
