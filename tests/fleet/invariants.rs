//! What has to hold, whatever happens: checked from what goes in and comes out, beside the policy.

mod admission;
mod breakers;
mod connects;
mod fleet;

pub(crate) use connects::Connects;
pub(crate) use fleet::{Invariants, Tally};
