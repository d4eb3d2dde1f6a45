use std::sync::Arc;
use std::time::Duration;

use control::zone::{Endpoint, parse_name};
use dataplane::Balance;

use super::row::{Condition, DefaultValue, Row, Variable, variables};
use crate::config::value::Unit::Seconds;
use crate::config::value::{self, Parsed};

/// What has no say where a client's target follows from its address alone.
const UNHEEDED_BY_MAGLEV: &[Condition] = &[Condition {
    spares_default: true,
    ..Condition::unless(
        &BALANCE.row,
        "maglev",
        "does not heed it: a client's target follows from its address alone",
    )
}];

variables! {
    BALANCE: Balance = Value("p2c"), value::balance,
        "how a connection's target is chosen: p2c (the less loaded of two picked at random), round_robin, random, least_connections (in turn among equals) or maglev (a client keeps its target, by its address)";
    ZONE_AWARE: bool = Value("false"), value::boolean,
        "prefer targets of the balancer's own availability zone while they can carry their share: true or false",
        conditions: UNHEEDED_BY_MAGLEV;
    AVAILABILITY_ZONE: Arc<str> = Described("from IMDSv2"), parse_name,
        "the zone the balancer is in",
        conditions: &[Condition::read_by(&ZONE_AWARE.row, &["true"])];
    AWS_EC2_METADATA_SERVICE_ENDPOINT: Endpoint = Value("http://169.254.169.254"), value::own,
        "where the instance metadata service (IMDSv2) is: http://host[:port]";
    AWS_EC2_METADATA_DISABLED: bool = Value("false"), value::boolean_in_any_case,
        "never ask the instance metadata service: true or false";
    SLOW_START: Duration = Value("0"), value::delay(Seconds),
        "how long the share of new connections of a target grows that is admitted beside others (s); 0: it gets all of it at once",
        conditions: UNHEEDED_BY_MAGLEV;
    REBALANCE_RATE: u32 = Value("0"), value::number(0..=10_000),
        "when targets join: how many connections a second, at most, that rest on targets with more than their share are closed, so that their clients come back, 0-10000; 0: none",
        conditions: UNHEEDED_BY_MAGLEV;
}
