use std::net::IpAddr;
use std::time::Duration;

use super::row::{DefaultValue, Row, Variable, variables};
use crate::config::value::Unit::{Minutes, Seconds};
use crate::config::value::{self, Parsed, addresses};

variables! {
    CONNECT_ATTEMPTS: u8 = Value("3"), value::number(1..=16),
        "distinct targets tried for one client before giving up, 1-16";
    POOL_TIMEOUT: Duration = Value("2"), value::period(Seconds),
        "longest that connecting to a target may take (s)",
        aliases: &["CONNECT_TIMEOUT"];
    POOL_SIZE: u16 = Value("100"), value::number(0..=10_000),
        "most preconnected connections for one target, all cores together, 0-10000 (0 = off)";
    CIRCUIT_BREAKER_THRESHOLD: u32 = Value("5"), value::number(1..=1000),
        "failed connects in a row that open a target's circuit breaker, so that it gets no clients, 1-1000";
    CIRCUIT_BREAKER_TIMEOUT: Duration = Value("5"), value::period(Minutes),
        "longest time between two attempts to connect to a target whose breaker is open (min)";
    SOURCE_ADDRESSES: Vec<IpAddr> = Described("–"), addresses::sources,
        "own addresses to connect targets from in turn, comma separated, at most 64: each has local ports of its own";
}
