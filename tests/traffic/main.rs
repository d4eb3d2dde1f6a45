//! Black box: the real binary between real clients and real targets.
#![allow(clippy::unwrap_used, reason = "this is test code, outside a test function too")]

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod affinity;
mod balancing;
mod breaker;
mod connecting;
mod connection_log;
mod cores;
mod departures;
mod drain;
mod exhaustion;
mod failing_fast;
mod faults;
mod half_close;
mod harness;
mod health;
mod idle;
mod ipv6;
mod limits;
mod load;
mod local_ports;
mod never_reading;
mod nginx;
mod one_life;
mod overflows;
mod overlap;
mod pair;
mod pool;
mod proxy_protocol;
mod rebalance;
mod reset_at_once;
mod resets;
mod restarts;
mod shutdown;
mod slow_peers;
mod socket_activation;
mod stopped;
mod supervision;
mod target_file;
mod vanished;
mod warm_start;

mod zones;
