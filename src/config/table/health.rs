use std::time::Duration;

use control::health::{BodyMatch, CheckHost, CheckPath, CheckProtocol, StatusSet};

use super::row::{Condition, DefaultValue, Row, Variable, variables};
use crate::config::value::Unit::Seconds;
use crate::config::value::{self, Parsed};

/// What only a GET has.
const HTTP: &[Condition] = &[Condition {
    is_described: false,
    ..Condition::read_by(&HEALTH_CHECK_PROTOCOL.row, &["http"])
}];
const CHECKED: &[Condition] =
    &[Condition::unless(&HEALTH_CHECK_PROTOCOL.row, "none", "checks nothing")];

variables! {
    HEALTH_CHECK_PROTOCOL: CheckProtocol = Value("http"), value::check_protocol,
        "what a health check does: http (a GET), tcp (connects, unseen by the server) or none (every target is used at once)";
    HEALTH_CHECK_PERIOD: Duration = Value("2"), value::period(Seconds),
        "time between two health checks of a target (s)",
        synonyms: &["HEALTH_CHECK_INTERVAL", "HEALTHCHECK_INTERVAL"], conditions: CHECKED;
    HEALTH_CHECK_PATH: CheckPath = Value("/ping"), value::own,
        "path that a health check GETs; begins with / and holds no blanks",
        conditions: HTTP;
    HEALTH_CHECK_PORT: u16 = Described("the target's port"), value::number(1..=u16::MAX),
        "port to check, 1-65535",
        conditions: CHECKED;
    HEALTH_CHECK_TIMEOUT: Duration = Value("2"), value::period(Seconds),
        "longest that one whole check may take (s)",
        conditions: CHECKED;
    HEALTH_CHECK_STATUS: StatusSet = Value("200-399"), value::own,
        "status codes that pass a check: codes and ranges, comma separated",
        conditions: HTTP;
    HEALTH_CHECK_HOST: CheckHost = Described("the address that is checked"), value::own,
        "host name that a check calls its target (Host)",
        conditions: HTTP;
    HEALTH_CHECK_MATCH: BodyMatch = Described("–"), value::own,
        "text of at most 256 bytes that the first 16 KiB of an answer's body have to hold";
    HEALTH_CHECK_RISE: u32 = Value("2"), value::number(1..=100),
        "checks passed in a row that admit a target again, 1-100; its very first pass admits it at once",
        conditions: CHECKED;
    HEALTH_CHECK_FALL: u32 = Value("3"), value::number(1..=100),
        "checks failed in a row that take a target out, 1-100",
        conditions: CHECKED;
    HEALTH_CHECK_PROXY_PROTOCOL: bool = Value("false"), value::boolean,
        "whether a check begins with a PROXY protocol header that says it is the balancer's own (v1: UNKNOWN, else v2: LOCAL): true or false";
    FAIL_OPEN_THRESHOLD: u8 = Value("0"), value::number(0..=100),
        "at or below this share of healthy targets (%) all targets are used, 0-100; 0: only when none is healthy";
    DRAIN_TIMEOUT: Duration = Value("300"), value::delay(Seconds),
        "how long connections to a target that was withdrawn may go on before they are reset (s); 0: not at all";
    UNHEALTHY_CONNECTIONS: bool = Value("keep"), value::is_reset,
        "keep or reset the open connections of a target that turns unhealthy; while fail-open uses all targets they are kept";
}
