//! Bad configuration, black box: one message that names every value, exit 78 or, where
//! time may mend it all, 75, nothing bound.

mod targets;

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use crate::BINARY;
use testkit::backend::Backend;
use testkit::net::port::Port;
use testkit::process::{Ended, end};
use testkit::skip::skip;

const CONFIG: Option<i32> = Some(78);
const TEMPORARY: Option<i32> = Some(75);

/// A value that each variable must refuse. Only PORT and HOST are missing: see their use.
const BAD: &[(&str, &str)] = &[
    ("NODE_FILTER", "consul"),
    ("DNS_NAME", "10.0.0.1"),
    ("DNS_SERVER", "ns.example"),
    ("TARGETS", "one.example"),
    ("TARGET_PORT", "65536"),
    ("NODE_CHECK_PERIOD", "0"),
    ("HEALTH_CHECK_PERIOD", "0ms"),
    ("HEALTH_CHECK_PATH", "ping"),
    ("HEALTH_CHECK_PORT", "0"),
    ("HEALTH_CHECK_TIMEOUT", "-1"),
    ("HEALTH_CHECK_STATUS", "20x"),
    ("HEALTH_CHECK_RISE", "0"),
    ("HEALTH_CHECK_FALL", "101"),
    ("HEALTH_CHECK_PROXY_PROTOCOL", "v2"),
    ("FAIL_OPEN_THRESHOLD", "101"),
    ("BALANCE", "fastest"),
    ("ZONE_AWARE", "1"),
    ("AVAILABILITY_ZONE", "eu\twest-1a"),
    ("DRAIN_TIMEOUT", "never"),
    ("UNHEALTHY_CONNECTIONS", "close"),
    ("SLOW_START", "25h"),
    ("REBALANCE_RATE", "10/s"),
    ("CONNECT_ATTEMPTS", "17"),
    ("POOL_TIMEOUT", "2 s"),
    ("PROXY_PROTOCOL", "v3"),
    ("ACCEPT_PROXY_PROTOCOL", "v2"),
    ("TRUSTED_PROXIES", "10.0.0.0/8,10.0.0.1/8"),
    ("PROXY_PROTOCOL_TLVS", "keep"),
    ("IDLE_TIMEOUT", "25h"),
    ("HALF_CLOSED_TIMEOUT", "-1"),
    ("TCP_KEEPALIVE", "10h"),
    ("CORES", "0"),
    ("LISTEN_BACKLOG", "0"),
    ("ALLOW_CIDRS", "10.0.0.1/8"),
    ("MAX_CONNECTIONS", "0"),
    ("MAX_CONNECTIONS_PER_CLIENT", "-1"),
    ("SOURCE_ADDRESSES", "0.0.0.0"),
    ("ADMIN_HOST", "localhost"),
    ("ADMIN_PORT", "70000"),
    ("SHUTDOWN_DELAY", "soon"),
    ("SHUTDOWN_TIMEOUT", "1.5s"),
    ("LOG_CONNECTIONS", "maybe"),
    ("LOG_FORMAT", "xml"),
    ("RUST_LOG", "control=loud"),
    ("AWS_REGION", "Ireland!"),
    ("AWS_DEFAULT_REGION", "eu west"),
    ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "169.254.169.254"),
    ("AWS_EC2_METADATA_DISABLED", "yes"),
    ("DISCOVERY_SHRINK_LIMIT", "101"),
    ("ALLOW_LOOPBACK_TARGETS", "1"),
    ("TAG_NAME", "a\nb"),
    ("TAG_VALUE", "a\x1bb"),
    ("ASG_NAME", "a\tb"),
    ("POOL_SIZE", "10001"),
    ("CIRCUIT_BREAKER_THRESHOLD", "0"),
    ("CIRCUIT_BREAKER_TIMEOUT", "25h"),
];

/// Runs with a target and ports that are fine, and `variables` over them.
fn with(variables: &[(&str, &str)]) -> Ended {
    let (port, admin) = (Port::free(), Port::free());
    let (port, admin) = (port.text(), admin.text());
    let fine = [
        ("NODE_FILTER", "static"),
        ("TARGETS", "127.0.0.9:9"),
        ("HOST", "127.0.0.1"),
        ("PORT", &port),
        ("ADMIN_PORT", &admin),
    ];
    BINARY.run_to_end(fine.into_iter().chain(variables.iter().copied()))
}

/// Asserts exit 78 and one problem only: a line that begins with `name` and holds all of `parts`.
#[track_caller]
fn assert_refused(variables: &[(&str, &str)], name: &str, parts: &[&str]) {
    assert_one_problem(CONFIG, variables, name, parts);
}

/// The same with exit 75.
#[track_caller]
fn assert_refused_for_now(variables: &[(&str, &str)], name: &str, parts: &[&str]) {
    assert_one_problem(TEMPORARY, variables, name, parts);
}

#[track_caller]
fn assert_one_problem(code: Option<i32>, variables: &[(&str, &str)], name: &str, parts: &[&str]) {
    let ended = with(variables);
    assert_eq!(ended.code, code, "{variables:?}: {}", ended.stderr);
    assert!(ended.stderr.contains("(1 variable)"), "{variables:?}: {}", ended.stderr);
    let line = ended.line(name);
    for part in parts.iter().chain(&["accepted"]) {
        assert!(line.contains(part), "{part:?} is not in: {line}");
    }
}

#[test]
fn every_bad_variable_is_in_one_message_with_those_that_this_machine_does_not_go_with() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let fine = [("HOST", "127.0.0.1"), ("PORT", port.as_str())];
    let ended = BINARY.run_to_end(fine.into_iter().chain(BAD.iter().copied()));
    assert_eq!(ended.code, CONFIG);
    let count = BAD.len() + 1;
    assert!(ended.stderr.contains(&format!("({count} variables)")), "{}", ended.stderr);
    assert!(ended.line("PORT").contains("in use"), "{}", ended.stderr);
    for (name, value) in BAD {
        let head = format!("{name}=\"{}\" ", value.escape_debug());
        let line = ended.line(&head);
        assert!(line.contains("accepted"), "{line}");
        // What was quoted needs no quoting again.
        let (_, reason) = line.split_once(&head).unwrap();
        assert!(!["`", "\""].iter().any(|mark| reason.contains(&format!("{mark}{value}{mark}"))));
    }
    assert!(!ended.stderr.contains('\x1b'));
}

#[test]
fn where_clients_connect_is_checked_too() {
    for port in ["0", "65536", "-1", "http", "+80", "80 80"] {
        assert_refused(&[("PORT", port)], "PORT", &[port, "from 1 to 65535"]);
    }
    for host in ["localhost", "1.2.3", "[127.0.0.1]", "224.0.0.1", "255.255.255.255"] {
        assert_refused(&[("HOST", host)], "HOST", &[host, "IPv4 or IPv6"]);
    }
}

#[test]
fn blanks_and_line_ends_around_a_value_are_no_part_of_it() {
    let backend = Backend::start();
    let targets = format!("\n {}\r\n", backend.address);
    let padded = [("TARGETS", targets.as_str()), ("NODE_FILTER", "static\n"), ("CORES", " 1\t")];
    let balancer = BINARY.start(&[], &padded);
    assert_eq!(balancer.get("/"), backend.address.to_string());
    assert_refused(&[("TARGETS", " \n")], "TARGETS", &["not set", "NODE_FILTER=static"]);
    assert_refused(&[("POOL_TIMEOUT", " 2 s\n")], "POOL_TIMEOUT=\"2 s\"", &[]);
}

#[test]
fn a_start_that_fails_asks_what_was_meant_as_check_does() {
    let variables = [("NODE_FILTER", "static"), ("TARGET", "10.0.0.1")];
    let asked = "TARGET is not a variable of the balancer: did you mean TARGETS?";
    let text = BINARY.run_to_end(variables);
    assert_eq!(text.code, CONFIG);
    assert_eq!(text.line("TARGET is").trim_start(), asked);
    assert!(text.stderr.contains("(1 variable):"), "{}", text.stderr);
    let json = BINARY.run_to_end([&variables[..], &[("LOG_FORMAT", "json")]].concat());
    assert!(json.stderr.contains(&format!("\"msg\":\"{asked}\"")), "{}", json.stderr);
    let check = end(BINARY.command().arg("check").envs(variables));
    assert!(check.stdout.contains(asked), "{}", check.stdout);
}

#[test]
fn a_privileged_port_comes_with_the_first_that_is_not_and_with_the_command() {
    const SYSCTL: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    let first = fs::read_to_string(SYSCTL).unwrap().trim().to_owned();
    if Command::new("setpriv").arg("--version").output().is_err() || first == "0" {
        return skip("there is no setpriv to give up CAP_NET_BIND_SERVICE, or no privileged port");
    }
    let binary = BINARY.path();
    let less = "--bounding-set=-net_bind_service --inh-caps=-net_bind_service";
    let mut command = BINARY.shell(&format!("exec setpriv {less} \"$0\""));
    command
        .envs([("NODE_FILTER", "static"), ("TARGETS", "127.0.0.9:9"), ("HOST", "127.0.0.3")])
        .envs([("PORT", "80"), ("ADMIN_PORT", "0")]);
    let ended = end(&mut command);
    let line = ended.line("PORT=\"80\" is a privileged port");
    assert!(line.contains(&format!("a port from {first} up")), "{line}");
    assert!(line.ends_with(&format!("sudo setcap cap_net_bind_service=+ep {binary}")), "{line}");
}

#[test]
fn bytes_that_are_not_utf8_are_reported_by_name() {
    let bad = OsStr::from_bytes(b"30\xff\x1b");
    let ended = BINARY.run_to_end([("PORT", bad), ("RUST_LOG", bad), ("HOME", bad)]);
    assert_eq!(ended.code, CONFIG);
    for name in ["PORT", "RUST_LOG"] {
        let line = ended.line(&format!("{name}=\"30\\xff\\x1b\""));
        assert!(line.contains("UTF-8"), "{line}");
    }
    assert!(!ended.stderr.contains("HOME"), "{}", ended.stderr);
}

#[test]
fn an_empty_variable_counts_as_unset() {
    assert_refused(&[("TARGETS", "")], "TARGETS", &["not set", "NODE_FILTER=static"]);
    let everything: Vec<_> =
        BAD.iter().map(|(name, _)| (*name, "")).filter(|(name, _)| *name != "ADMIN_PORT").collect();
    if cfg!(feature = "aws") {
        // No credentials, so nothing is sent, and none are looked for in the network.
        let everything = [everything, vec![("AWS_EC2_METADATA_DISABLED", "true")]].concat();
        let admin = Port::free().text();
        // On all addresses, and so with a port of its own.
        let everything = [everything, vec![("ADMIN_PORT", &*admin)]].concat();
        let balancer = BINARY.spawn(&[], &everything);
        balancer.wait_for_log("the members of the Auto Scaling Group \"worker-nodes\"");
        balancer.wait_for_log("in region eu-west-1");
    } else {
        // What is left of the configuration: the default NODE_FILTER.
        assert_refused(&everything, "NODE_FILTER=\"asg\"", &["without", "static, file"]);
    }
}

#[test]
fn a_misspelt_log_level_does_not_silence_the_rest() {
    for filter in ["inf", "verbose", "warn,contrl", "contrl=debug"] {
        assert_refused(&[("RUST_LOG", filter)], "RUST_LOG", &[filter, "trace or off"]);
    }
    assert_refused(&[("RUST_LOG", "controler=debug")], "RUST_LOG", &["`controler`", "control, "]);
}

#[cfg(not(feature = "aws"))]
#[test]
fn aws_discovery_is_not_in_this_build() {
    for filter in ["asg", "tag"] {
        let parts = [filter, "made without", "static, file"];
        assert_refused(&[("NODE_FILTER", filter)], "NODE_FILTER", &parts);
    }
}

#[test]
fn the_own_zone_needs_a_source() {
    let variables = [("ZONE_AWARE", "true"), ("AWS_EC2_METADATA_DISABLED", "True")];
    let parts = ["not set", "ZONE_AWARE=true", "AWS_EC2_METADATA_DISABLED"];
    assert_refused(&variables, "AVAILABILITY_ZONE", &parts);
}

#[test]
fn proxies_that_are_trusted_have_to_be_named() {
    let accept = ("ACCEPT_PROXY_PROTOCOL", "true");
    let parts = ["not set", "ACCEPT_PROXY_PROTOCOL=true needs it", "10.0.0.0/8"];
    assert_refused(&[accept], "TRUSTED_PROXIES", &parts);
    assert_refused(&[accept, ("TRUSTED_PROXIES", "")], "TRUSTED_PROXIES", &parts);
    for list in ["10.0.0.0/33", "lb.example", "10.0.0.1,,10.0.0.2"] {
        assert_refused(&[accept, ("TRUSTED_PROXIES", list)], "TRUSTED_PROXIES", &["accepted: "]);
    }
}

#[test]
fn cores_that_cannot_be_had_are_named() {
    for cores in ["0", "many", "-1", "3-1", "0-", "1,,2", "1024"] {
        assert_refused(&[("CORES", cores)], "CORES", &[cores]);
    }
    let allowed = std::thread::available_parallelism().unwrap();
    if allowed.get() >= 1023 {
        return skip("this machine has as many CPUs as can be asked for");
    }
    assert_refused(&[("CORES", "1023")], "CORES", &["1023", "more than the"]);
    assert_refused(&[("CORES", "1022-1023")], "CORES", &["CPU 1022,1023"]);
}

#[test]
fn an_address_of_another_machine_is_refused() {
    // TEST-NET-1 (RFC 5737): no machine has it.
    for name in ["HOST", "ADMIN_HOST", "SOURCE_ADDRESSES"] {
        let parts = ["192.0.2.1", "no address of this machine"];
        assert_refused_for_now(&[(name, "192.0.2.1")], name, &parts);
    }
}

#[test]
fn ports_in_use_are_named_all_at_once() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    assert_refused_for_now(&[("PORT", &port)], "PORT", &[&port, "in use"]);
    assert_refused_for_now(&[("ADMIN_PORT", &port)], "ADMIN_PORT", &[&port, "in use"]);
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = other.local_addr().map(|address| (address.port().to_string(), other)).unwrap();
    let ended = with(&[("PORT", &port), ("ADMIN_PORT", &other.0)]);
    assert_eq!(ended.code, TEMPORARY);
    assert!(ended.line("PORT").contains("in use"));
    assert!(ended.line("ADMIN_PORT").contains("in use"));
}

#[test]
fn what_time_does_not_mend_decides_the_exit_status() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let file = [("NODE_FILTER", "file"), ("TARGETS_FILE", "/nonexistent/targets.json")];
    let passing = [file[0], file[1], ("PORT", &port), ("SOURCE_ADDRESSES", "192.0.2.1")];
    let ended = with(&passing);
    assert_eq!(ended.code, TEMPORARY, "{}", ended.stderr);
    for name in ["PORT", "TARGETS_FILE", "SOURCE_ADDRESSES"] {
        assert_ne!(ended.line(name), "");
    }
    for lasting in [("IDLE_TIMEOUT", "25h"), ("MAX_CONNECTIONS", "10000000")] {
        let ended = with(&[&passing[..], &[lasting]].concat());
        assert_eq!(ended.code, CONFIG, "{}", ended.stderr);
        assert!(ended.line("PORT").contains("in use"), "{}", ended.stderr);
    }
}

/// Names all of `names`, and no other.
#[track_caller]
fn assert_all_named(variables: &[(&str, &str)], names: &[&str]) {
    let ended = with(variables);
    assert_eq!(ended.code, CONFIG, "{}", ended.stderr);
    let told: Vec<_> = ended.stderr.lines().skip(1).map(str::trim_start).collect();
    assert_eq!(told.len(), names.len(), "{}", ended.stderr);
    for name in names {
        assert!(told.iter().any(|line| line.starts_with(name)), "{name}: {}", ended.stderr);
    }
}

#[test]
fn what_this_machine_does_not_go_with_is_told_all_at_once() {
    // RFC 5737 keeps these for documentation.
    let far = [("HOST", "192.0.2.1"), ("SOURCE_ADDRESSES", "198.51.100.1,203.0.113.1")];
    let many = ("MAX_CONNECTIONS", "10000000");
    let names =
        ["HOST", "SOURCE_ADDRESSES=\"198.51.100.1\"", "SOURCE_ADDRESSES=\"203.0.113.1\"", many.0];
    assert_all_named(&[far[0], far[1], many], &names);
    // Beside values that are bad anywhere.
    assert_all_named(&[("IDLE_TIMEOUT", "25h"), many, far[0]], &["IDLE_TIMEOUT", many.0, "HOST"]);
    let file = [("NODE_FILTER", "file"), ("HOST", "x")];
    assert_all_named(&file, &["HOST", "TARGETS_FILE is not set"]);
    // How many connections there may be depends on the cores.
    assert_all_named(&[("CORES", "x"), many], &["CORES"]);
    assert_all_named(&[many, ("LISTEN_PID", "x")], &["LISTEN_PID", many.0]);
}

#[test]
fn every_bad_entry_of_a_list_is_told() {
    for name in ["ALLOW_CIDRS", "TRUSTED_PROXIES"] {
        assert_refused(&[(name, "10.0.0.0/33,::1,foo")], name, &["`10.0.0.0/33`", "`foo`"]);
    }
    assert_refused(&[("SOURCE_ADDRESSES", "foo,0.0.0.0")], "SOURCE", &["`foo`", "`0.0.0.0`"]);
    assert_refused(&[("CORES", "x,0,3-1")], "CORES", &["`x`", "`3-1`"]);
}

#[test]
fn clients_and_operators_need_ports_of_their_own() {
    let port = Port::free().text();
    let same = [("PORT", port.as_str()), ("ADMIN_PORT", &port), ("HOST", "0.0.0.0")];
    assert_refused(&same, "ADMIN_PORT", &[&port, "PORT too"]);
}

#[test]
fn every_form_that_is_documented_starts() {
    let backend = Backend::start();
    let balancer = BINARY.start(
        &[backend.address],
        &[
            ("NODE_CHECK_PERIOD", "1h"),
            ("HEALTH_CHECK_TIMEOUT", "1m"),
            ("HEALTH_CHECK_STATUS", "200,301-302"),
            ("SHUTDOWN_DELAY", "0"),
            ("SHUTDOWN_TIMEOUT", "2s"),
            ("CORES", "1"),
            ("BALANCE", "least_connections"),
            ("ZONE_AWARE", "true"),
            ("AVAILABILITY_ZONE", "eu-west-1a"),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://[fd00:ec2::254]/"),
            ("AWS_EC2_METADATA_DISABLED", "TRUE"),
            ("CIRCUIT_BREAKER_TIMEOUT", "5"),
            ("RUST_LOG", "info,control=debug"),
            ("HEALTH_CHECK_RISE", ""),
        ],
    );
    assert_eq!(balancer.get("/"), backend.address.to_string());
}
