//! The data plane: one glommio executor pinned to each chosen core, each with its own listener,
//! ring, buffers and sessions. Nothing is shared between cores on the hot path.

mod flow;
mod limits;
mod plane;
mod preconnect;
mod proxy_header;
mod selection;
mod session;
mod settings;
mod sys;
mod worker;

pub use limits::{Cidrs, Limits};
pub use plane::{CoreSetup, DataPlane, StartError};
pub use proxy_header::{ProxyProtocol, ProxyVersion};
pub use selection::balance::Balance;
pub use selection::source_addresses::Sources;
pub use settings::{ServiceSettings, Settings};
pub use sys::keepalive::KEEPALIVE_MAX;
pub use sys::listener::Listener;
pub use worker::IdleTimeouts;

/// What decides where connections go, for simulations that drive it as a core does. Not part of the
/// interface.
#[doc(hidden)]
pub mod policy {
    pub use crate::selection::balance::Balancer;
    pub use crate::selection::choice::{Choice, Chooser, Tried};
    pub use crate::selection::local_target::{LastConnect, LocalTarget, TargetLoad};
    pub use crate::selection::retry_budget::RetryBudget;
    pub use crate::selection::targets::Targets;
}

/// Makes a ring as every core will need it, enters it once and drops it again: a seccomp filter may
/// deny each of the three system calls alone.
///
/// # Errors
/// As `io_uring_setup(2)`, `io_uring_register(2)` and `io_uring_enter(2)`.
pub fn probe_io_uring() -> std::io::Result<()> {
    sys::Ring::new()?.wait(std::time::Duration::ZERO)
}
