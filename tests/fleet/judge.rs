//! What has to hold, whatever happens: judged from what goes in and comes out, beside the policy.

mod admission;
mod breakers;
mod dials;
mod fleet;

pub(crate) use dials::Dials;
pub(crate) use fleet::{FleetJudge, Tally};
