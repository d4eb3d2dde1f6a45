use std::time::Duration;

use dataplane::{Cidrs, ProxyVersion};

use super::row::{Condition, DefaultValue, Row, Variable, Wanted, variables};
use crate::config::value::Unit::Seconds;
use crate::config::value::{self, Parsed};

const ACCEPTING: Condition = Condition::read_by(&ACCEPT_PROXY_PROTOCOL.row, &["true"]);

/// Fields of a header go on in another one that can hold them.
const SECOND_VERSION: Condition = Condition {
    on: &PROXY_PROTOCOL.row,
    wanted: Wanted::OneOf(&["v2"]),
    otherwise: "passes none on: only v2 has them",
    is_described: false,
    spares_default: false,
};

variables! {
    PROXY_PROTOCOL: Option<ProxyVersion> = Value("off"), value::proxy_protocol,
        "PROXY protocol header that targets get before a client's first byte: off, v1 or v2";
    ACCEPT_PROXY_PROTOCOL: bool = Value("false"), value::boolean,
        "whether clients are the proxies in TRUSTED_PROXIES alone and each connection has to begin with a PROXY protocol header, v1 or v2: true or false";
    TRUSTED_PROXIES: Cidrs = Described("–"), value::own,
        "the proxies that may connect, addresses and blocks (10.0.0.0/8), comma separated; at least one is needed",
        synonyms: &["TRUSTED_PROXY"], conditions: &[ACCEPTING];
    PROXY_PROTOCOL_TLVS: bool = Value("pass"), value::proxy_protocol_tlvs,
        "what becomes of the fields (TLVs) of a proxy's v2 header where PROXY_PROTOCOL is v2, too: pass or drop",
        conditions: &[ACCEPTING, SECOND_VERSION];
    IDLE_TIMEOUT: Duration = Value("350"), value::delay(Seconds),
        "how long a connection is kept on which no byte moves in either direction, before it is reset (s); 0: for ever";
    HALF_CLOSED_TIMEOUT: Duration = Described("IDLE_TIMEOUT"), value::delay(Seconds),
        "the same once one side has ended its stream (s)";
    TCP_KEEPALIVE: Duration = Value("60"), value::keepalive,
        "how long a client or target is silent before its system is asked for a sign of life (s), in whole seconds, at most 32767; 0: never";
}
