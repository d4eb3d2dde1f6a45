use std::path::PathBuf;
use std::time::Duration;

use control::discovery::{DnsName, DnsServer};

use super::row::{Condition, DefaultValue, Row, Variable, variables};
use crate::config::value::Unit::Seconds;
use crate::config::value::{self, NodeFilter, Parsed};

const ASG: &[Condition] = &[Condition::read_by(&NODE_FILTER.row, &["asg"])];
const TAG: &[Condition] = &[Condition::read_by(&NODE_FILTER.row, &["tag"])];
const AWS: &[Condition] = &[Condition::read_by(&NODE_FILTER.row, &["asg", "tag"])];
const STATIC: &[Condition] = &[Condition::read_by(&NODE_FILTER.row, &["static"])];
const FILE: &[Condition] = &[Condition::read_by(&NODE_FILTER.row, &["file"])];
const DNS: &[Condition] = &[Condition::read_by(&NODE_FILTER.row, &["dns"])];

// The lengths of names are those that AWS allows: tags in the EC2 User Guide, groups in
// CreateAutoScalingGroup.
variables! {
    NODE_FILTER: NodeFilter = Value("asg"), value::node_filter,
        "where targets come from: asg (ASG_NAME), tag (TAG_NAME, TAG_VALUE), static (TARGETS), file (TARGETS_FILE) or dns (DNS_NAME)";
    ASG_NAME: String = Value("worker-nodes"), value::name(255),
        "the Auto Scaling Group, whose instances in service are targets",
        conditions: ASG;
    TAG_NAME: String = Value("Name"), value::name(128),
        "the name of the tag that running instances have",
        conditions: TAG;
    TAG_VALUE: String = Value("worker-node"), value::name(256),
        "its value; * and ? match as AWS has them match",
        conditions: TAG;
    // Unset, it leaves the choice to the next one and to the profile.
    AWS_REGION: String = Value("eu-west-1"), value::region,
        "region of the targets; AWS_DEFAULT_REGION and the profile's come before the default",
        conditions: AWS;
    AWS_DEFAULT_REGION: String = Described("the profile's"), value::region,
        "region of the targets where AWS_REGION is not set",
        conditions: AWS;
    DISCOVERY_SHRINK_LIMIT: u8 = Value("50"), value::number(0..=100),
        "an answer that does not mention more than this share of the targets (%), or any, has to be confirmed by two more, 0-100",
        conditions: AWS;
    ALLOW_LOOPBACK_TARGETS: bool = Value("false"), value::boolean,
        "whether loopback addresses may be targets: true or false",
        conditions: AWS;
    // What is a target depends on TARGET_PORT and on where clients connect.
    TARGETS: String = Described("–"), value::text,
        "ip[:port][@zone], comma separated",
        synonyms: &["BACKENDS"], conditions: STATIC;
    TARGETS_FILE: PathBuf = Described("–"), value::path,
        "path of a Prometheus file_sd JSON file, read again when it changes",
        conditions: FILE;
    DNS_NAME: DnsName = Described("–"), str::parse,
        "the host whose addresses are targets, or _service._proto.name, whose SRV records name them",
        conditions: DNS;
    DNS_SERVER: DnsServer = Described("those of /etc/resolv.conf"), str::parse,
        "the name server to ask, ip[:port]",
        conditions: DNS;
    TARGET_PORT: u16 = Value("30080"), value::number(1..=u16::MAX),
        "port of targets that name none, 1-65535";
    NODE_CHECK_PERIOD: Duration = Value("10"), value::period(Seconds),
        "time between two discoveries of targets (s); up to eight times as long while AWS throttles, and with dns as often as the records' time to live says",
        synonyms: &["NODE_CHECK_INTERVAL", "DISCOVERY_INTERVAL", "DISCOVERY_PERIOD"],
        conditions: &[Condition::unless(&NODE_FILTER.row, "static", "does not read it")];
}
