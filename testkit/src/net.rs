//! Addresses, ports, streams and namespaces.

pub mod address;
pub mod namespace;
mod noise;
pub mod port;
pub mod stream;

pub use noise::Noise;
