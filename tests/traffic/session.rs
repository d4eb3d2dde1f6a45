//! What happens to one connection: how it begins, how bytes, FIN and RST pass, how it ends.

mod connecting;
mod connection_log;
mod departures;
mod half_close;
mod ipv6;
mod never_reading;
pub(crate) mod pair;
mod reset_at_once;
mod resets;
