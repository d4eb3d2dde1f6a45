//! What decides, without I/O and clock: for simulations of a whole fleet, too.

pub mod breaker;
mod drain;
mod locality;
mod rebalance;
pub(crate) mod roster;

pub use breaker::Turns;
pub use roster::{Identity, Roster, Rules};
