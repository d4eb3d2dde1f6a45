//! Where targets come from.

use std::net::SocketAddr;
use std::path::PathBuf;

use exchange::Target;

/// Where targets come from.
#[derive(Clone, Debug)]
pub enum Settings {
    /// A list that never changes; not empty.
    Static(Vec<Target>),
    /// A file in Prometheus' file_sd JSON format, read again when it changes.
    File(FileSettings),
}

/// How the target file is read.
#[derive(Clone, Debug)]
pub struct FileSettings {
    /// Where the file is.
    pub path: PathBuf,
    /// The port of targets that name none.
    pub default_port: u16,
    /// Where the balancer itself listens: never a target.
    pub own_address: SocketAddr,
}

/// Parses `ip[:port][@zone]`, comma separated: what `TARGETS` holds.
///
/// # Errors
/// A sentence naming the entry and what is accepted.
pub fn parse_targets(list: &str, default_port: u16) -> Result<Vec<Target>, String> {
    let _ = (list, default_port);
    todo!()
}

/// Refuses targets that no connection should be forwarded to: link-local addresses and the
/// balancer's own address.
///
/// # Errors
/// A sentence naming the target and the reason.
pub fn admit(target: &Target, own_address: SocketAddr) -> Result<(), String> {
    let _ = (target, own_address);
    todo!()
}

/// Reads and parses the target file once, as at start.
///
/// # Errors
/// A sentence naming the file, what is wrong with it and where.
pub fn read_file(settings: &FileSettings) -> Result<Vec<Target>, String> {
    let _ = settings;
    todo!()
}
