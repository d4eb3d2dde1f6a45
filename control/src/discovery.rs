//! Where targets come from.

mod address_check;
pub(crate) mod confirmed_targets;
pub(crate) mod dns;
#[cfg(feature = "aws")]
pub(crate) mod ec2;
mod endpoint;
pub(crate) mod file;
mod label;
mod refresh;
mod settings;
mod static_list;
mod watch;
pub mod zone;

pub use address_check::{check_address, with_port_of_its_own};
pub use dns::{DnsFault, DnsName, DnsServer, DnsSettings, Resolved, resolve_once};
#[cfg(feature = "aws")]
pub use ec2::{
    AwsSettings, Fault, FaultKind, Found, Ignored, Mode, Reason, discover_once, iam_policy,
};
pub use file::read_file;
pub(crate) use refresh::run;
pub use settings::{DiscoverySettings, FileSettings};
pub use static_list::parse_targets;
