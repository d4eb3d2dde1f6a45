//! Health checks.

pub(crate) mod attempted;
pub(crate) mod body_match;
pub(crate) mod check_host;
pub(crate) mod check_once;
pub(crate) mod checked;
pub(crate) mod path;
pub(crate) mod probe;
pub(crate) mod prober;
pub(crate) mod proxy_header;
pub(crate) mod reconnect;
pub(crate) mod settings;
pub(crate) mod status;

pub use body_match::BodyMatch;
pub use check_host::CheckHost;
pub use path::CheckPath;
pub use proxy_header::ProxyHeader;
pub use settings::{CheckProtocol, HealthSettings};
pub use status::StatusSet;
