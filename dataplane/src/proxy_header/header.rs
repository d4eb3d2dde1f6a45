use super::addresses::Addresses;
use super::tlvs::Tlvs;
use crate::limits::Cidrs;

/// Largest header that is accepted or sent, in bytes: it fits a buffer of the ring. What a version
/// 2 header announces may be up to 65,551 bytes long.
pub(crate) const HEADER_MAX_BYTES: usize = 16 * 1024;

/// Where headers are expected.
#[derive(Clone, Debug, Default)]
pub struct ProxyProtocol {
    /// The only clients that may connect, each to begin with a header of either version; `None`: all
    /// may, without a header.
    pub from: Option<Cidrs>,
    /// Leaves the fields (TLVs) of a client's header out of its target's.
    pub drops_fields: bool,
}

/// The version of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    /// One line of text.
    V1,
    /// Binary, with type-length-value fields.
    V2,
}

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// The sender's own connection, such as a health check: `LOCAL`.
    Local,
    /// Somebody's, but nothing that is understood here: `UNKNOWN`, and families other than TCP.
    Unknown,
    /// That of a TCP client.
    Proxied(Addresses, Tlvs),
}

/// Whether the shorter one is how the longer one begins.
pub(super) fn begins_alike(bytes: &[u8], other: &[u8]) -> bool {
    bytes.iter().zip(other).all(|(a, b)| a == b)
}
