//! The control plane: finds targets, checks their health and decides who may receive traffic. Its
//! product is an immutable [`exchange::Snapshot`], published to every core, and beside it a
//! [`status::Status`] for people.

mod admin;
mod controller;
pub mod discovery;
pub mod health;
mod jitter;
mod log_lines;
mod metrics;
mod plane;
pub mod policy;
pub mod status;
mod threads;

pub use discovery::zone;
pub use health::check_once::{SingleCheck, check_targets};
pub use health::probe::{CheckFailure, CheckFlaw};
pub use health::prober::MAX_PROBES;
pub use plane::Control;
pub use plane::settings::{ServiceSettings, Settings};
pub use policy::breaker;
pub use threads::guard;

/// What the runtime's `max_blocking_threads` has to be: one that reads the target file, one that asks
/// the metadata service, and a few to spare. Threads are started only as they are needed.
pub const MAX_BLOCKING_THREADS: usize = 8;

/// Most descriptors that the control plane has at a time, beside one for each of
/// [`Settings::probes_max`]: 16 for its runtimes and what wakes them (9 were seen), those of the admin
/// server, and 16 for a target file, AWS and the metadata service (6 were seen).
pub const DESCRIPTORS_MAX: usize = 16 + admin::DESCRIPTORS_MAX + 16;
