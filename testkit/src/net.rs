//! Addresses, ports, streams and namespaces.

pub mod address;
mod dnsmasq;
pub mod namespace;
mod noise;
pub mod port;
pub mod stream;

pub use dnsmasq::Dnsmasq;
pub use noise::Noise;
