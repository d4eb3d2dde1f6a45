//! The PROXY protocol, versions 1 and 2: a header before the payload that says whose connection it
//! is. Pure; after "The PROXY protocol", Willy Tarreau, which comes with `HAProxy` as
//! `doc/proxy-protocol.txt`.

mod addresses;
mod checksum;
mod fault;
mod header;
pub(crate) mod header_exchange;
mod tlvs;
mod v1;
mod v2;

pub(crate) use addresses::Addresses;
pub(crate) use fault::Fault;
use header::begins_alike;
pub(crate) use header::{HEADER_MAX_BYTES, Header};
pub use header::{ProxyProtocol, ProxyVersion};
pub(crate) use tlvs::Tlvs;

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

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
