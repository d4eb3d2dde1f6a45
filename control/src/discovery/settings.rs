use std::net::SocketAddr;
use std::path::PathBuf;

use exchange::Target;

use super::dns::settings::DnsSettings;
#[cfg(feature = "aws")]
use super::ec2::settings::AwsSettings;

/// Where targets come from.
#[derive(Clone, Debug)]
pub enum DiscoverySettings {
    /// A list that never changes; not empty.
    Static(Vec<Target>),
    /// A file in Prometheus' `file_sd` JSON format, read again when it changes.
    File(FileSettings),
    /// The records of a DNS name, asked for again when their time to live is over.
    Dns(DnsSettings),
    /// The instances of an AWS account, as they come and go.
    #[cfg(feature = "aws")]
    Aws(AwsSettings),
}

/// How the target file is read.
#[derive(Clone, Debug)]
pub struct FileSettings {
    /// Where the file is.
    pub path: PathBuf,
    /// The port of targets that name none.
    pub default_port: u16,
    /// Whether that is all that holds, since there are several services: a target with a port of its
    /// own is an error.
    pub is_port_given: bool,
    /// Where the balancer itself listens: never a target.
    pub own_address: SocketAddr,
}
