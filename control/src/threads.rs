//! Threads: whose panics are caught, and who runs only when nobody else wants to.

pub(crate) mod background;
pub mod guard;
pub(crate) mod guarded;
