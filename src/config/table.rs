use serde::Deserialize;

/// An environment variable that configures the balancer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variable {
    /// As it stands in the environment.
    pub(crate) name: &'static str,
    /// What holds where it is unset or empty.
    pub(crate) default: Default,
    /// One line for users: what it does, its unit, what is accepted.
    pub(crate) meaning: &'static str,
}

/// What an unset variable stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Default {
    /// The same as if it were set to this.
    Value(&'static str),
    /// No value of its own; users read this instead.
    Described(&'static str),
}

impl Default {
    /// The default as users see it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Value(text) | Self::Described(text) => text,
        }
    }
}

/// One list of variables makes three things that therefore cannot differ: a constant for each, the
/// table of all, and the struct that `envy` fills.
macro_rules! variables {
    ($($name:ident $field:ident $default:ident($text:literal) $meaning:literal;)*) => {
        $(pub(crate) const $name: Variable = Variable {
            name: stringify!($name),
            default: Default::$default($text),
            meaning: $meaning,
        };)*

        /// Every variable, in the order users see them.
        pub(crate) const TABLE: &[Variable] = &[$($name),*];

        /// The variables as found in the environment.
        #[derive(Debug, Deserialize)]
        pub(super) struct Raw {
            $(pub(super) $field: Option<String>,)*
        }
    };
}

variables! {
    PORT port Value("8080")
        "port where clients connect, 1-65535";
    HOST host Value("0.0.0.0")
        "address where clients connect; an IPv4 or IPv6 literal";
    NODE_FILTER node_filter Value("asg")
        "where targets come from: asg (ASG_NAME), tag (TAG_NAME, TAG_VALUE), static (TARGETS) or file (TARGETS_FILE)";
    ASG_NAME asg_name Value("worker-nodes")
        "for asg: the Auto Scaling Group, whose instances in service are targets";
    TAG_NAME tag_name Value("Name")
        "for tag: the name of the tag that running instances have";
    TAG_VALUE tag_value Value("worker-node")
        "for tag: its value; * and ? match as AWS has them match";
    AWS_REGION aws_region Value("eu-west-1")
        "for asg and tag: region of the targets; AWS_DEFAULT_REGION and the profile's come before the default";
    AWS_DEFAULT_REGION aws_default_region Described("the profile's")
        "for asg and tag: region of the targets where AWS_REGION is not set";
    DISCOVERY_SHRINK_LIMIT discovery_shrink_limit Value("50")
        "for asg and tag: an answer that does not mention more than this share of the targets (%), or any, has to be confirmed by two more, 0-100";
    ALLOW_LOOPBACK_TARGETS allow_loopback_targets Value("false")
        "for asg and tag: whether loopback addresses may be targets: true or false";
    TARGETS targets Described("–")
        "for static: ip[:port][@zone], comma separated";
    TARGETS_FILE targets_file Described("–")
        "for file: path of a Prometheus file_sd JSON file, read again when it changes";
    TARGET_PORT target_port Value("30080")
        "port of targets that name none, 1-65535";
    NODE_CHECK_PERIOD node_check_period Value("10")
        "time between two discoveries of targets (s); up to eight times as long while AWS throttles";
    HEALTH_CHECK_PERIOD health_check_period Value("2")
        "time between two health checks of a target (s)";
    HEALTH_CHECK_PATH health_check_path Value("/ping")
        "path that a health check GETs; begins with / and holds no blanks";
    HEALTH_CHECK_PORT health_check_port Described("the target's port")
        "port to check, 1-65535";
    HEALTH_CHECK_TIMEOUT health_check_timeout Value("2")
        "longest that one whole check may take (s)";
    HEALTH_CHECK_STATUS health_check_status Value("200-399")
        "status codes that pass a check: codes and ranges, comma separated";
    HEALTH_CHECK_RISE health_check_rise Value("2")
        "checks passed in a row that admit a target again, 1-100; its very first pass admits it at once";
    HEALTH_CHECK_FALL health_check_fall Value("3")
        "checks failed in a row that take a target out, 1-100";
    HEALTH_CHECK_PROXY_PROTOCOL health_check_proxy_protocol Value("false")
        "whether a check begins with a PROXY protocol header that says it is the balancer's own (v1: UNKNOWN, else v2: LOCAL): true or false";
    FAIL_OPEN_THRESHOLD fail_open_threshold Value("0")
        "at or below this share of healthy targets (%) all targets are used, 0-100; 0: only when none is healthy";
    BALANCE balance Value("p2c")
        "how a connection's target is chosen: p2c (the less loaded of two picked at random), round_robin, random, least_connections (in turn among equals) or maglev (a client keeps its target, by its address)";
    ZONE_AWARE zone_aware Value("false")
        "prefer targets of the balancer's own availability zone while they can carry their share: true or false";
    AVAILABILITY_ZONE availability_zone Described("from IMDSv2")
        "for ZONE_AWARE: the zone the balancer is in";
    DRAIN_TIMEOUT drain_timeout Value("300")
        "how long connections to a target that was withdrawn may go on before they are reset (s); 0: not at all";
    UNHEALTHY_CONNECTIONS unhealthy_connections Value("keep")
        "keep or reset the open connections of a target that turns unhealthy; while fail-open uses all targets they are kept";
    SLOW_START slow_start Value("0")
        "how long the share of new connections of a target grows that is admitted beside others (s); 0: it gets all of it at once";
    REBALANCE_RATE rebalance_rate Value("0")
        "when targets join: how many connections a second, at most, that rest on targets with more than their share are closed, so that their clients come back, 0-10000; 0: none";
    CONNECT_ATTEMPTS connect_attempts Value("3")
        "distinct targets tried for one client before giving up, 1-16";
    POOL_TIMEOUT pool_timeout Value("2")
        "longest that connecting to a target may take (s)";
    PROXY_PROTOCOL proxy_protocol Value("off")
        "PROXY protocol header that targets get before a client's first byte: off, v1 or v2";
    ACCEPT_PROXY_PROTOCOL accept_proxy_protocol Value("false")
        "whether clients are the proxies in TRUSTED_PROXIES alone and each connection has to begin with a PROXY protocol header, v1 or v2: true or false";
    TRUSTED_PROXIES trusted_proxies Described("–")
        "for ACCEPT_PROXY_PROTOCOL: the proxies that may connect, addresses and blocks (10.0.0.0/8), comma separated; at least one is needed";
    PROXY_PROTOCOL_TLVS proxy_protocol_tlvs Value("pass")
        "for ACCEPT_PROXY_PROTOCOL: what becomes of the fields (TLVs) of a proxy's v2 header where PROXY_PROTOCOL is v2, too: pass or drop";
    IDLE_TIMEOUT idle_timeout Value("350")
        "how long a connection is kept on which no byte moves in either direction, before it is reset (s); 0: for ever";
    HALF_CLOSED_TIMEOUT half_closed_timeout Described("IDLE_TIMEOUT")
        "the same once one side has ended its stream (s)";
    TCP_KEEPALIVE tcp_keepalive Value("60")
        "how long a client or target is silent before its system is asked for a sign of life (s), in whole seconds, at most 32767; 0: never";
    CORES cores Described("every allowed CPU")
        "CPUs that carry traffic: a count (4) or a list (0-3,8; one alone: 3-3)";
    LISTEN_BACKLOG listen_backlog Value("4096")
        "most clients that wait to be accepted, per core, 1-65535; the kernel caps it at net.core.somaxconn";
    ALLOW_CIDRS allow_cidrs Value("all")
        "clients that may connect: IP addresses and CIDR blocks, comma separated, or all; others are reset";
    MAX_CONNECTIONS max_connections Described("from RLIMIT_NOFILE")
        "most client connections at a time, all cores together; further ones are reset, while without it they wait";
    MAX_CONNECTIONS_PER_CLIENT max_connections_per_client Value("0")
        "most connections at a time of one client, an IPv4 address or an IPv6 /64; further ones are reset; 0: no limit";
    SOURCE_ADDRESSES source_addresses Described("–")
        "own addresses to connect targets from in turn, comma separated, at most 64: each has local ports of its own";
    ADMIN_HOST admin_host Value("127.0.0.1")
        "address of the admin server; an IPv4 or IPv6 literal";
    ADMIN_PORT admin_port Value("9901")
        "port of the admin server (/metrics /healthz /readyz /targets), 0-65535; 0 turns it off";
    SHUTDOWN_DELAY shutdown_delay Value("0")
        "after the first SIGTERM, how long clients are still accepted while /readyz is already 503 (s)";
    SHUTDOWN_TIMEOUT shutdown_timeout Value("30")
        "after that, how long open connections may go on before they are reset (s)";
    OVERLAP overlap Value("false")
        "whether to start beside a process that listens on PORT already, and take clients only once a target may get them, as in a rolling restart: true or false";
    LOG_CONNECTIONS log_connections Value("false")
        "log the end of each connection: true or false";
    LOG_FORMAT log_format Value("text")
        "text, or json for one object a line";
    RUST_LOG rust_log Value("info")
        "what is logged: error, warn, info, debug, trace or off, also per module (info,control=debug)";
    AWS_EC2_METADATA_SERVICE_ENDPOINT aws_ec2_metadata_service_endpoint Value("http://169.254.169.254")
        "where the instance metadata service (IMDSv2) is: http://host[:port]";
    AWS_EC2_METADATA_DISABLED aws_ec2_metadata_disabled Value("false")
        "never ask the instance metadata service: true or false";
    POOL_SIZE pool_size Value("100")
        "most preconnected connections for one target, all cores together, 0-10000 (0 = off)";
    CIRCUIT_BREAKER_THRESHOLD circuit_breaker_threshold Value("5")
        "failed connects in a row that open a target's circuit breaker, so that it gets no clients, 1-1000";
    CIRCUIT_BREAKER_TIMEOUT circuit_breaker_timeout Value("5")
        "longest time between two attempts to connect to a target whose breaker is open (min)";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envy_finds_every_variable_under_its_name() {
        let all = TABLE.iter().map(|v| (v.name.to_owned(), v.name.to_owned()));
        let raw: Raw = envy::from_iter(all).unwrap();
        let filled = format!("{raw:?}");
        assert!(!filled.contains("None"), "{filled}");
        for variable in TABLE {
            let field = format!("{}: Some(\"{}\")", variable.name.to_lowercase(), variable.name);
            assert!(filled.contains(&field), "{field} is not in {filled}");
        }
    }

    #[test]
    fn meanings_fit_into_a_markdown_table() {
        for variable in TABLE {
            assert!(!variable.meaning.contains(['|', '\n', '`', '\\']), "{}", variable.name);
        }
    }
}
