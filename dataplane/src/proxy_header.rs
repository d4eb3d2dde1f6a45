//! The PROXY protocol, versions 1 and 2: a header before the payload that says whose connection it
//! is. Pure; after "The PROXY protocol", Willy Tarreau, which comes with `HAProxy` as
//! `doc/proxy-protocol.txt`.

mod addresses;
mod checksum;
pub(crate) mod exchange;
mod tlvs;
mod v1;
mod v2;

use crate::limits::Cidrs;
pub(crate) use addresses::Addresses;
pub(crate) use tlvs::Tlvs;

/// Largest header that is accepted or sent, in bytes: it fits a buffer of the ring. What a version
/// 2 header announces may be up to 65,551 bytes long.
pub(crate) const HEADER_MAX_BYTES: usize = 16 * 1024;

/// Where headers are expected and where they are sent.
#[derive(Clone, Debug, Default)]
pub struct ProxyProtocol {
    /// The only clients that may connect, each to begin with a header of either version; `None`: all
    /// may, without a header.
    pub from: Option<Cidrs>,
    /// What targets get before a client's first byte.
    pub to_targets: Option<ProxyVersion>,
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

/// Why the beginning of a connection is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is no header at all.
    Missing,
    /// It breaks the rules of its version, or its checksum is wrong.
    Malformed,
    /// Longer than allowed: [`HEADER_MAX_BYTES`], or the 107 bytes of version 1.
    Oversized,
}

impl Header {
    /// Reads the header that `bytes` begin with, in either version: what it says and its length, or
    /// `None` if more bytes are needed to tell. What follows the header makes no difference.
    ///
    /// # Errors
    /// Why it cannot become a header, as soon as that is certain.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Fault> {
        if begins_alike(bytes, &v2::SIGNATURE) {
            return v2::parse(bytes);
        }
        if begins_alike(bytes, v1::SIGNATURE) {
            return v1::parse(bytes);
        }
        Err(Fault::Missing)
    }

    /// The header in this version, at most [`HEADER_MAX_BYTES`] long. Version 1 has no place for
    /// the fields.
    pub(crate) fn encode(&self, version: ProxyVersion) -> Vec<u8> {
        match version {
            ProxyVersion::V1 => v1::encode(self),
            ProxyVersion::V2 => v2::encode(self),
        }
    }
}

/// Whether the shorter one is how the longer one begins.
fn begins_alike(bytes: &[u8], other: &[u8]) -> bool {
    bytes.iter().zip(other).all(|(a, b)| a == b)
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
