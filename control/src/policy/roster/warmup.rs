use std::sync::Arc;
use std::time::{Duration, Instant};

use exchange::{Affinity, Target};

/// Whether clients are let in. They are not while it is about to be known who can serve them: those
/// who come first would all go to whichever target is the first to pass its check. Pure.
#[derive(Debug)]
pub(super) struct Warmup {
    /// How long the others' first checks are waited for once a target may be used.
    patience: Duration,
    /// Whether clients keep their targets, so that a table has to be there.
    needs_table: bool,
    stage: WarmupStage,
}

#[derive(Debug)]
enum WarmupStage {
    /// Discovery has not answered yet.
    Undiscovered,
    /// There are targets, and none could be used so far, or not for long.
    Checking {
        /// Since when one could be used.
        since: Option<Instant>,
    },
    /// It is known whom clients will be led to, and the table for that is being built.
    Mapping(Vec<Arc<Target>>),
    /// Clients are let in.
    Open,
}

/// What a decision follows from. Targets that drain do not count.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    /// Whether there is any target.
    pub(super) is_any: bool,
    /// Whether all of them have had their first check.
    pub(super) are_all_checked: bool,
    /// Those that would be eligible.
    pub(super) usable: Vec<&'a Arc<Target>>,
    /// The latest table.
    pub(super) table: Option<&'a Affinity>,
}

impl Warmup {
    pub(super) fn new(patience: Duration, needs_table: bool) -> Self {
        Self { patience, needs_table, stage: WarmupStage::Undiscovered }
    }

    /// Discovery has answered.
    pub(super) fn discovered(&mut self) {
        if matches!(self.stage, WarmupStage::Undiscovered) {
            self.stage = WarmupStage::Checking { since: None };
        }
    }

    /// Whether clients are let in at `now`.
    pub(super) fn admits(&mut self, facts: &Facts<'_>, now: Instant) -> bool {
        match &self.stage {
            WarmupStage::Undiscovered => return false,
            // Nobody is going to serve them.
            _ if !facts.is_any => self.stage = WarmupStage::Open,
            // All that were used are gone, if there were any: whoever follows them is checked first.
            _ if facts.usable.is_empty() => self.stage = WarmupStage::Checking { since: None },
            WarmupStage::Checking { since } => {
                let since = since.unwrap_or(now);
                if facts.are_all_checked || since + self.patience <= now {
                    let targets = facts.usable.iter().map(|&target| Arc::clone(target));
                    self.stage = WarmupStage::Mapping(targets.collect());
                } else {
                    self.stage = WarmupStage::Checking { since: Some(since) };
                }
            }
            WarmupStage::Open | WarmupStage::Mapping(_) => {}
        }
        if let WarmupStage::Mapping(targets) = &self.stage
            && (!self.needs_table || facts.table.is_some_and(|table| table.is_for(targets)))
        {
            self.stage = WarmupStage::Open;
        }
        matches!(self.stage, WarmupStage::Open)
    }

    /// The targets whose table clients wait for.
    pub(super) fn awaited(&self) -> Option<&[Arc<Target>]> {
        match &self.stage {
            WarmupStage::Mapping(targets) => Some(targets),
            _ => None,
        }
    }

    /// When the others' first checks are waited for no longer.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.stage {
            WarmupStage::Checking { since } => since.map(|since| since + self.patience),
            _ => None,
        }
    }
}
