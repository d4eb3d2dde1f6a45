//! Targets from DNS, black box: real changes at a real name server, and answers that none gives.

mod answers;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddr;

use crate::BINARY;
use testkit::backend::Backend;
use testkit::balancer::Balancer;
use testkit::net::Dnsmasq;
use testkit::net::address::{ports, unique};
use testkit::process::end;
use testkit::skip::skip;
use testkit::wait::{wait_for, wait_until};

/// How a line about a failure begins, after the name.
const FAILED: &str = "Meanwhile the last good targets stay in use";

/// Starts one that follows a name.
fn follow(server: SocketAddr, name: &str) -> Balancer {
    let (server, port) = (server.to_string(), ports().target.to_string());
    let variables = [
        ("NODE_FILTER", "dns"),
        ("DNS_NAME", name),
        ("DNS_SERVER", &server),
        ("TARGET_PORT", &port),
        ("CORES", "1"),
    ];
    BINARY.spawn(&[], &variables)
}

/// The addresses of the targets that are in use or may come to be.
fn addresses(balancer: &Balancer) -> BTreeSet<String> {
    if balancer.admin_get("/healthz").is_none() {
        return BTreeSet::new();
    }
    let targets = balancer.targets().into_iter().filter(|target| target["state"] != "draining");
    targets.map(|target| target["address"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn wait_for_addresses(balancer: &Balancer, expected: &[SocketAddr]) {
    let expected: BTreeSet<_> = expected.iter().map(ToString::to_string).collect();
    wait_for("the targets", || addresses(balancer), |found| *found == expected);
}

fn hosts(name: &str, targets: &[&Backend]) -> String {
    targets.iter().fold(String::new(), |mut records, target| {
        writeln!(records, "host-record={name},{}", target.address.ip()).unwrap();
        records
    })
}

#[test]
fn hosts_come_and_go_and_errors_change_nothing() {
    if let Err(reason) = Dnsmasq::check() {
        return skip(&reason);
    }
    let (one, two) = (Backend::start(), Backend::start());
    let mut server = Dnsmasq::start(&hosts("workers.test", &[&one]));
    let balancer = follow(server.address, "workers.test");
    balancer.wait_until_ready();
    assert_eq!(balancer.get("/"), one.address.to_string());

    server.restart(&hosts("workers.test", &[&one, &two]));
    wait_for_addresses(&balancer, &[one.address, two.address]);
    balancer.wait_for_state(two.address, "healthy");

    server.kill();
    balancer.wait_for_log(FAILED);
    let failures = || {
        ["timeout", "unreachable", "refused", "malformed"]
            .map(|kind| balancer.count(&format!("discovery_failures_total{{kind=\"{kind}\"}}")))
            .iter()
            .sum::<u64>()
    };
    let before = failures();
    wait_until("more failures", || failures() > before + 1);
    wait_for_addresses(&balancer, &[one.address, two.address]);
    assert!(balancer.log_lines(FAILED).len() <= 3, "{:?}", balancer.log_lines(FAILED));

    server.restart(&hosts("workers.test", &[&two]));
    wait_for_addresses(&balancer, &[two.address]);
    balancer.wait_for_log("discovery by DNS works again");
    assert_eq!(balancer.get("/"), two.address.to_string());

    // NXDOMAIN.
    server.restart("");
    balancer.wait_for_log("no records any more; until 3 answers in a row say so, 1 targets stay");
    wait_for_addresses(&balancer, &[]);
}

#[test]
fn srv_records_name_hosts_and_ports() {
    if let Err(reason) = Dnsmasq::check() {
        return skip(&reason);
    }
    let backends = [Backend::start(), Backend::start(), Backend::start()];
    let mut records = String::new();
    for (number, (backend, priority)) in backends.iter().zip([10, 10, 20]).enumerate() {
        let (ip, port) = (backend.address.ip(), backend.address.port());
        writeln!(records, "host-record=h{number}.test,{ip}").unwrap();
        writeln!(records, "srv-host=_http._tcp.test,h{number}.test,{port},{priority},1").unwrap();
    }
    let server = Dnsmasq::start(&records);
    let balancer = follow(server.address, "_http._tcp.test");
    balancer.wait_until_ready();
    wait_for_addresses(&balancer, &[backends[0].address, backends[1].address]);
    balancer.wait_for_log("TARGET_PORT is set, but the SRV records");
}

#[test]
fn a_host_of_both_families_is_one_target() {
    if let Err(reason) = Dnsmasq::check() {
        return skip(&reason);
    }
    let ip = unique();
    let server = Dnsmasq::start(&format!(
        "host-record=both.test,{ip},2001:db8::1\nhost-record=six.test,2001:db8::2\n\
         cname=alias.test,both.test"
    ));
    let port = ports().target;
    for name in ["both.test", "alias.test"] {
        wait_for_addresses(&follow(server.address, name), &[SocketAddr::new(ip, port)]);
    }
    let six = SocketAddr::new("2001:db8::2".parse().unwrap(), port);
    wait_for_addresses(&follow(server.address, "six.test"), &[six]);
}

#[test]
fn an_answer_that_needs_tcp_is_asked_for_by_tcp_and_one_that_does_not_fit_is_refused() {
    if let Err(reason) = Dnsmasq::check() {
        return skip(&reason);
    }
    let many = |name: &str, count: u32| {
        (0..count).fold(String::new(), |mut records, number| {
            let [a, b] = [number / 250 + 1, number % 250 + 1];
            writeln!(records, "host-record={name},127.200.{a}.{b}").unwrap();
            records
        })
    };
    let server = Dnsmasq::start(&(many("large.test", 300) + &many("huge.test", 10_000)));
    let balancer = follow(server.address, "large.test");
    wait_for("300 targets", || addresses(&balancer).len(), |count| *count == 300);
    let balancer = follow(server.address, "huge.test");
    balancer.wait_for_log("huge.test: it has more records than one answer of DNS holds");
    balancer.wait_for_log("Meanwhile no target is known until then");
}

#[test]
fn check_looks_the_name_up() {
    if let Err(reason) = Dnsmasq::check() {
        return skip(&reason);
    }
    let backend = Backend::start();
    let server = Dnsmasq::start(
        &(hosts("workers.test", &[&backend]) + "host-record=link.test,169.254.169.254"),
    );
    let check = |name: &str| {
        let mut command = BINARY.command();
        command.arg("check").env("NODE_FILTER", "dns").env("DNS_NAME", name);
        command.env("DNS_SERVER", server.address.to_string());
        command.env("TARGET_PORT", ports().target.to_string());
        command.env("HEALTH_CHECK_PORT", ports().health.to_string());
        end(&mut command)
    };
    let ended = check("workers.test");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let source = format!("the addresses of workers.test, by name server {}", server.address);
    assert!(ended.stdout.contains(&format!("{source}: 1 found")), "{}", ended.stdout);
    assert!(ended.stdout.contains(&format!("target {}", backend.address)), "{}", ended.stdout);

    for (name, told) in [
        ("nobody.test", "nobody.test"),
        ("link.test", "169.254.169.254"),
        ("workers.example", "the name server's answer is"),
    ] {
        let ended = check(name);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stdout.contains(told), "{name}: {}", ended.stdout);
    }
}

#[test]
fn bad_values_are_told_at_start_all_at_once() {
    let ended = BINARY.run_to_end([
        ("NODE_FILTER", "dns"),
        ("DNS_NAME", "10.0.0.1"),
        ("DNS_SERVER", "ns.example"),
    ]);
    assert_eq!(ended.code, Some(78), "{ended:?}");
    for told in ["DNS_NAME=\"10.0.0.1\" is an address", "DNS_SERVER=\"ns.example\" is no address"] {
        assert!(ended.stderr.contains(told), "{}", ended.stderr);
    }
    let ended = BINARY.run_to_end([("NODE_FILTER", "dns")]);
    assert!(ended.stderr.contains("DNS_NAME is not set, and NODE_FILTER=dns"), "{ended:?}");
    let several = [("NODE_FILTER", "dns"), ("DNS_NAME", "_http._tcp.a.test"), ("PORT", "81:80,82")];
    let ended = BINARY.run_to_end(several);
    assert!(ended.stderr.contains("DNS_NAME=\"_http._tcp.a.test\" names SRV records"), "{ended:?}");
}
