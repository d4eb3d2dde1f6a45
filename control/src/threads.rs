//! Threads: whose panics are caught, and who runs only when nobody else wants to.

pub(crate) mod background;
pub mod guard;
#[cfg(any(test, feature = "aws"))]
pub(crate) mod guarded;
