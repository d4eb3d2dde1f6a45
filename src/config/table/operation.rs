use std::net::IpAddr;
use std::time::Duration;

use super::row::{DefaultValue, Row, Variable, variables};
use crate::config::value::Unit::Seconds;
use crate::config::value::{self, Parsed};
use crate::logging::LogFormat;

variables! {
    ADMIN_HOST: IpAddr = Value("127.0.0.1"), value::host,
        "address of the admin server; an IPv4 or IPv6 literal";
    ADMIN_PORT: u16 = Value("9901"), value::number(0..=u16::MAX),
        "port of the admin server (/metrics /healthz /readyz /targets), 0-65535; 0 turns it off";
    SHUTDOWN_DELAY: Duration = Value("0"), value::delay(Seconds),
        "after the first SIGTERM, how long clients are still accepted while /readyz is already 503 (s)";
    SHUTDOWN_TIMEOUT: Duration = Value("30"), value::delay(Seconds),
        "after that, how long open connections may go on before they are reset (s)";
    LOG_CONNECTIONS: bool = Value("false"), value::boolean,
        "log the end of each connection: true or false";
    LOG_FORMAT: LogFormat = Value("text"), value::log_format,
        "text, or json for one object a line";
    RUST_LOG: String = Value("info"), value::log_filter,
        "what is logged: error, warn, info, debug, trace or off, also per module (info,control=debug)",
        synonyms: &["LOG_LEVEL", "LOGLEVEL"];
}
