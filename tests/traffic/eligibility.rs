//! Which targets may get clients: health checks, circuit breakers, drains and the target file.

mod breaker;
mod drain;
mod faults;
mod health;
mod nginx;
pub(crate) mod target_file;
mod unseen;
mod warm_start;
