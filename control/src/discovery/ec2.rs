//! Targets from AWS: the members of an Auto Scaling Group, or the instances with a tag. The only
//! module that names AWS.

mod client;
pub(crate) mod fault;
mod iam_policy;
mod mode;
pub(crate) mod poll;
mod poller;
pub(super) mod refresh;
pub(super) mod settings;
mod timeouts;
pub(crate) mod tracker;

pub use fault::{Fault, FaultKind};
pub use iam_policy::iam_policy;
pub use mode::Mode;
pub use poll::Found;
pub use poll::filter::{Ignored, Reason};
pub use refresh::discover_once;
pub use settings::AwsSettings;
