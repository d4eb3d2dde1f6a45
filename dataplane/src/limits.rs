//! Who may connect, and how many at a time.

mod admission;
mod cidrs;
mod client;
mod descriptors;
pub(crate) mod rejection_log;

use std::num::{NonZeroU32, NonZeroUsize};

pub(crate) use admission::{Admission, Permit};
pub(crate) use descriptors::{SINGLE_ACCEPTS_MAX, pipes_max};

pub use cidrs::Cidrs;

/// Limits that were asked for. What exceeds one is reset at once.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// The only clients that may connect; `None`: all may.
    pub allowed: Option<Cidrs>,
    /// Most client connections at a time, all cores together; see [`Limits::connections_max`] for
    /// how many can be.
    pub connections: Option<NonZeroUsize>,
    /// Most connections of one client at a time, all cores together. A client is an IPv4 address,
    /// or the first 64 bits of an IPv6 address.
    pub connections_per_client: Option<NonZeroU32>,
}

impl Limits {
    /// The highest limit on connections that `cores` cores can keep for `services` services with
    /// descriptors for `room` connections: what is reset needs descriptors, too, for a moment. May
    /// be 0.
    pub fn connections_max(room: usize, cores: usize, services: usize) -> usize {
        room.saturating_sub(descriptors::descriptors_reserved(room, cores, services))
    }
}
