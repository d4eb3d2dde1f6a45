//! As much of HTTP/1.1 as the tests need.

mod client;
mod message;

pub use client::{Answer, Client, exchange, get, request};
pub use message::Message;
