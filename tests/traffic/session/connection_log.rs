use serde_json::{Value, json};

use crate::BINARY;
use testkit::backend::Backend;
use testkit::net::address::unique;
use testkit::net::stream::{connect, reset};
use testkit::wait::wait_until;

#[test]
fn each_connections_end_is_logged_if_wanted() {
    let backend = Backend::start();
    let balancer = BINARY.start(&[backend.address], &[("LOG_CONNECTIONS", "true")]);
    let mut client = balancer.client();
    let body = client.get("/").unwrap().body;
    let name = format!("client={} target={} ", client.0.local_addr().unwrap(), backend.address);
    assert!(balancer.log_lines(&name).is_empty(), "logged before its end");
    drop(client);
    balancer.wait_for_log(&name);
    let line = balancer.log_lines(&name).remove(0);
    let answer = format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\n\r\n", body.len()).len();
    let counts = format!("bytes_from_client=30 bytes_from_target={}", answer + body.len());
    for part in ["end=complete", "duration_ms=", &counts, "connects=1"] {
        assert!(line.contains(part), "{part} is not in {line}");
    }

    let mut client = balancer.client();
    client.get("/").unwrap();
    reset(client.0);
    wait_until("the reset is logged", || balancer.log_lines("end=client_reset").len() == 1);
    assert_eq!(balancer.log_lines("client=").len(), 2);
}

#[test]
fn in_json_each_part_of_a_connections_line_is_a_field() {
    let backend = Backend::start();
    let environment = [("LOG_CONNECTIONS", "true"), ("LOG_FORMAT", "json")];
    let balancer = BINARY.start(&[backend.address], &environment);
    let mut client = balancer.client();
    let address = client.0.local_addr().unwrap();
    client.get("/").unwrap();
    drop(client);
    balancer.wait_for_log(r#""msg":"ended""#);
    let lines = balancer.log_lines(r#""module":"connection""#);
    let line: Value = serde_json::from_str(&lines[0]).expect(&lines[0]);
    assert_eq!(line["client"], address.to_string());
    assert_eq!(line["target"], backend.address.to_string());
    assert_eq!(line["end"], "complete");
    assert_eq!((&line["bytes_from_client"], &line["connects"]), (&json!(30), &json!(1)));
    for number in ["duration_ms", "bytes_from_target"] {
        assert!(line[number].is_u64(), "{number}: {line}");
    }
}

#[test]
fn a_target_that_nobody_got_is_null() {
    // Nobody listens there.
    let environment = [("LOG_CONNECTIONS", "true"), ("LOG_FORMAT", "json")];
    let balancer = BINARY.spawn(&[(unique(), 9).into()], &environment);
    balancer.wait_until_ready();
    // It may be reset before connect(2) has returned.
    drop(connect(balancer.address));
    balancer.wait_for_log(r#""end":"no_target""#);
    let lines = balancer.log_lines(r#""module":"connection""#);
    let line: Value = serde_json::from_str(&lines[0]).expect(&lines[0]);
    assert_eq!(line["target"], Value::Null);
}

#[test]
fn no_connection_is_logged_by_default() {
    let backend = Backend::start();
    let balancer = BINARY.start(&[backend.address], &[]);
    balancer.get("/");
    balancer.wait_for_count("active_connections", 0);
    assert!(balancer.log_lines("client=").is_empty());
}
