//! Which target a client gets: the targets of the snapshot as one core knows them, and the choice
//! among them. Pure: time and randomness are arguments.

pub(crate) mod active_connection;
pub(crate) mod affinity;
pub(crate) mod balance;
mod candidates;
pub(crate) mod choice;
mod lingering;
pub(crate) mod local_target;
mod ports;
pub(crate) mod retry_budget;
pub(crate) mod source_addresses;
pub(crate) mod targets;
