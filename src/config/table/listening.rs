use std::net::IpAddr;

use dataplane::Cidrs;

use super::row::{DefaultValue, Row, Variable, variables};
use crate::config::value::cores::Cores;
use crate::config::value::ports::Ports;
use crate::config::value::{self, Parsed, addresses};

/// More connections than any machine holds.
const CONNECTIONS_MAX: u32 = 1_000_000_000;

variables! {
    PORT: Ports = Value("8080"), value::own,
        "port where clients connect, 1-65535; or several services, each with its targets' port: 80:30080,443:30443",
        synonyms: &["LISTEN_PORT", "PORTS"];
    HOST: IpAddr = Value("0.0.0.0"), value::host,
        "address where clients connect; an IPv4 or IPv6 literal",
        synonyms: &["LISTEN_HOST"];
    CORES: Cores = Described("every allowed CPU"), value::own,
        "CPUs that carry traffic: a count (4) or a list (0-3,8; one alone: 3-3)";
    LISTEN_BACKLOG: u32 = Value("4096"), value::number(1..=65535),
        "most clients that wait to be accepted, per core, 1-65535; the kernel caps it at net.core.somaxconn";
    OVERLAP: bool = Value("false"), value::boolean,
        "whether to start beside a process that listens on PORT already, and take clients only once a target may get them, as in a rolling restart: true or false";
    ALLOW_CIDRS: Option<Cidrs> = Value("all"), addresses::allowed,
        "clients that may connect: IP addresses and CIDR blocks, comma separated, or all; others are reset";
    MAX_CONNECTIONS: u32 = Described("from RLIMIT_NOFILE"), value::number(1..=CONNECTIONS_MAX),
        "most client connections at a time, all cores together; further ones are reset, while without it they wait",
        synonyms: &["MAX_CONNS", "MAXCONN"];
    MAX_CONNECTIONS_PER_CLIENT: u32 = Value("0"), value::number(0..=CONNECTIONS_MAX),
        "most connections at a time of one client, an IPv4 address or an IPv6 /64; further ones are reset; 0: no limit",
        synonyms: &["MAX_CONNS_PER_CLIENT"];
}
