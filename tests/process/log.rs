//! What is logged, black box.
use std::io::{PipeReader, Read};
use std::net::TcpListener;
use std::process::Stdio;

use crate::BINARY;
use rustix::fs::fstat;
use testkit::backend::Backend;
use testkit::net::port::Port;
use testkit::wait::wait_until;

#[test]
fn a_failed_check_is_a_line_at_debug_level_and_counted() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = silent.local_addr().unwrap();
    drop(silent);
    let balancer = BINARY.spawn(&[target], &[("RUST_LOG", "warn,control=debug")]);
    let line = format!("target {target}: health check failed: connection refused");
    wait_until("each one is a line", || balancer.process.stderr().matches(&line).count() >= 3);
    let series = format!("health_check_failures_total{{node=\"{target}\"}}");
    assert!(balancer.metric(&series) >= 3.0);
}

#[test]
fn fail_open_does_not_begin_before_a_reason_is_told() {
    let refusing = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = refusing.local_addr().unwrap();
    drop(refusing);
    let balancer = BINARY.start(&[target], &[("HEALTH_CHECK_FALL", "100")]);
    balancer.wait_for_log("fail-open begins");
    let log = balancer.process.stderr();
    let (before, _) = log.split_once("fail-open begins").unwrap();
    let reason = format!("target {target} fails its health check: connection refused");
    assert!(before.contains(&reason), "{log}");
}

#[test]
fn minutes_that_may_be_meant_as_seconds_are_told_at_start() {
    let backend = Backend::start();
    let balancer = BINARY.start(&[backend.address], &[("CIRCUIT_BREAKER_TIMEOUT", "30")]);
    balancer.wait_for_log("CIRCUIT_BREAKER_TIMEOUT=30 is 30 minutes");
}

/// What the binary writes to a standard error that `JOURNAL_STREAM` names, until `is_enough`.
fn journal(variables: &[(&str, &str)], is_enough: impl Fn(&str) -> bool) -> String {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let stat = fstat(&writer).unwrap();
    let (port, admin) = (Port::free(), Port::free());
    let mut child = BINARY
        .command()
        .env("JOURNAL_STREAM", format!("{}:{}", stat.st_dev, stat.st_ino))
        .envs([("HOST", "127.0.0.1".to_owned()), ("PORT", port.text())])
        .envs([("ADMIN_PORT", admin.text()), ("NODE_FILTER", "static".to_owned())])
        .envs(variables.iter().copied())
        .stdout(Stdio::null())
        .stderr(writer)
        .spawn()
        .unwrap();
    let text = read_until(&mut reader, is_enough);
    child.kill().unwrap();
    child.wait().unwrap();
    text
}

fn read_until(reader: &mut PipeReader, is_enough: impl Fn(&str) -> bool) -> String {
    let (mut text, mut piece) = (String::new(), [0; 4096]);
    while !is_enough(&text) {
        match reader.read(&mut piece).unwrap() {
            0 => break,
            bytes => text.push_str(std::str::from_utf8(&piece[..bytes]).unwrap()),
        }
    }
    text
}

#[test]
fn under_the_journal_lines_begin_with_their_priority_and_have_no_time() {
    let backend = Backend::named("backend");
    let targets = ("TARGETS", backend.address.to_string());
    let variables =
        [("TARGETS", targets.1.as_str()), ("TARGETS_FILE", "/x"), ("RUST_LOG", "debug")];
    let text = journal(&variables, |text| text.contains("is healthy\n"));
    let line = |what: &str| text.lines().find(|line| line.contains(what)).unwrap_or_default();
    let module = "stateless_load_balancer::run";
    assert!(line("TARGETS_FILE is set").starts_with(&format!("<4>WARN  {module}: ")), "{text}");
    let accepting = line("accepting clients");
    assert!(accepting.starts_with(&format!("<6>INFO  {module}::balancer: ")), "{text}");
    let heads = ["<3>ERROR ", "<4>WARN ", "<6>INFO ", "<7>DEBUG "];
    for line in text.lines() {
        assert!(heads.iter().any(|head| line.starts_with(head)), "{line}");
    }
}

#[test]
fn a_start_that_fails_has_its_priority_on_each_line() {
    let text = journal(&[("PORT", "x")], |_| false);
    assert!(text.lines().count() >= 2 && text.lines().all(|it| it.starts_with("<3>")), "{text}");
}

#[test]
fn json_and_other_streams_than_the_journals_stay_as_they_are() {
    let json = journal(&[("PORT", "x"), ("LOG_FORMAT", "json")], |_| false);
    for line in json.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
    let backend = Backend::start();
    // That of a shell from which the balancer's own standard error was sent elsewhere.
    let balancer = BINARY.start(&[backend.address], &[("JOURNAL_STREAM", "8:1")]);
    balancer.get("/");
    assert!(!balancer.process.stderr().contains('<'), "{}", balancer.process.stderr());
}
