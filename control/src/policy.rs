//! What decides, without I/O and clock: for simulations of a whole fleet, too.

pub mod breaker;
mod drain;
mod health;
pub(crate) mod identity;
mod locality;
mod rebalance;
pub(crate) mod roster;
pub(crate) mod settings;

pub use breaker::Transitions;
pub use identity::Identity;
pub(crate) use roster::address_in;
pub use roster::{Roster, Rules};
pub use settings::PolicySettings;
