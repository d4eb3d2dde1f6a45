//! What on this machine keeps values that are good by themselves from being used.

use super::findings::Findings;
use super::limits::{self, Capacity};
use super::machine;
use super::ports::{self, Purpose};
use crate::config::ParsedValues;

/// What the host checks have found.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) findings: Findings,
    /// What the limits leave room for; `None` where that is nothing, or not known.
    pub(super) capacity: Option<Capacity>,
}

impl Host {
    /// Looks at all that depends on this machine, without serving anybody. Whatever needs a value that
    /// is bad is left out.
    pub(super) fn examine(values: &ParsedValues, purpose: Purpose) -> Self {
        let mut findings = Findings::default();
        // How much there has to be depends on them.
        let capacity = values.cores.and_then(|cores| {
            machine::examine(&mut findings);
            limits::examine(cores, values.services.max(1), values.connections, &mut findings)
        });
        ports::examine(values, purpose, &mut findings);
        Self { findings, capacity }
    }
}
