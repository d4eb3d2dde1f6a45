//! A process from its start to its end, and two of them that take turns.

mod one_life;
mod overlap;
mod restarts;
mod shutdown;
pub(crate) mod socket_activation;
mod supervision;
