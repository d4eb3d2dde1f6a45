//! Connections of targets that are not to be used any more.

use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::BINARY;
use crate::eligibility::target_file;
use testkit::backend::{Backend, RawTarget};
use testkit::balancer::Balancer;
use testkit::http;
use testkit::net::stream;
use testkit::net::stream::{assert_alive, assert_next_is_reset};
use testkit::scratch::Scratch;
use testkit::wait::wait_for;

/// What is discovered, to be changed.
struct List(Scratch);

impl List {
    fn new(targets: &[SocketAddr]) -> Self {
        let list = Self(Scratch::new());
        list.write(targets);
        list
    }

    fn write(&self, targets: &[SocketAddr]) {
        target_file::write(&self.0, targets);
    }

    fn balancer(&self, environment: &[(&str, &str)]) -> Balancer {
        target_file::start_with(&self.0, &[&[("LOG_CONNECTIONS", "true")], environment].concat())
    }
}

#[test]
fn a_withdrawn_targets_connections_are_reset_when_the_time_is_over() {
    let (old, new) = (RawTarget::start(), Backend::start());
    let list = List::new(&[old.address]);
    let balancer = list.balancer(&[("DRAIN_TIMEOUT", "1s")]);
    let client = balancer.connect();
    let target = old.accept();
    assert_alive(&client, &target);

    let withdrawn = Instant::now();
    list.write(&[new.address]);
    balancer.wait_for_state(old.address, "draining");
    assert_eq!(balancer.target(old.address)["reason"], "left discovery");
    balancer.wait_for_state(new.address, "healthy");
    let kept = balancer.client();
    while withdrawn.elapsed() < Duration::from_millis(600) {
        assert_alive(&client, &target);
    }
    assert_next_is_reset(&client);
    let waited = withdrawn.elapsed();
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(4), "{waited:?}");
    assert_next_is_reset(&target);
    balancer.wait_for_log("end=target_withdrawn");
    balancer.wait_for_log(&format!(
        "target {}: 1 connection is reset (DRAIN_TIMEOUT is over)",
        old.address
    ));
    wait_for("the old one is gone", || balancer.target(old.address), Value::is_null);
    // Others' connections go on.
    let mut kept = kept;
    assert_eq!(kept.get("/").unwrap().body, new.address.to_string());
}

#[test]
fn a_client_whose_connect_is_revoked_gets_another_target() {
    let (silent, new) = (RawTarget::blackhole(), Backend::start());
    let list = List::new(&[silent.address]);
    let environment =
        [("DRAIN_TIMEOUT", "500ms"), ("POOL_TIMEOUT", "1h"), ("CONNECT_ATTEMPTS", "1")];
    let balancer = list.balancer(&environment);
    let mut client = balancer.client();
    client.send("/").unwrap();
    wait_for("a connect", || balancer.target(silent.address), |it| it["active_connections"] == 1);
    list.write(&[new.address]);
    assert_eq!(client.receive().unwrap().body, new.address.to_string());
    assert_eq!(balancer.count("failed_connects_total"), 0);
    wait_for("the old one is gone", || balancer.target(silent.address), Value::is_null);
}

/// The answer to an order about a target: status and body.
fn order(balancer: &Balancer, target: SocketAddr, wish: &str) -> (u16, Value) {
    let mut admin = stream::connect(balancer.admin).unwrap();
    let head = format!("POST /targets/{target}/{wish} HTTP/1.1\r\nHost: test\r\n\r\n");
    admin.write_all(head.as_bytes()).unwrap();
    let answer = String::from_utf8(stream::read_to_end(&admin).unwrap()).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (answer[9..12].parse().unwrap(), serde_json::from_str(body).unwrap())
}

#[test]
fn an_operator_drains_a_target_and_takes_it_back() {
    let (drained, other) = (RawTarget::start(), Backend::start());
    let list = List::new(&[drained.address]);
    let balancer = list.balancer(&[("DRAIN_TIMEOUT", "1s")]);
    let client = balancer.connect();
    let target = drained.accept();
    list.write(&[drained.address, other.address]);
    balancer.wait_for_state(other.address, "healthy");

    let asked = Instant::now();
    let (status, answer) = order(&balancer, drained.address, "drain");
    assert_eq!(status, 200, "{answer}");
    let entry = &answer["targets"][0];
    assert_eq!(entry["address"], drained.address.to_string());
    assert_eq!(
        (&entry["state"], &entry["reason"]),
        (&json!("draining"), &json!("drained by operator"))
    );
    for _ in 0..20 {
        assert_eq!(balancer.get("/"), other.address.to_string());
    }
    assert_alive(&client, &target);
    assert_next_is_reset(&client);
    assert!(asked.elapsed() >= Duration::from_secs(1), "{:?}", asked.elapsed());
    assert_next_is_reset(&target);
    balancer.wait_for_log("end=target_withdrawn");
    // Refreshes, ten a second, have not brought it back.
    assert_eq!(balancer.target(drained.address)["reason"], "drained by operator");

    assert_eq!(order(&balancer, drained.address, "undrain").0, 200);
    balancer.wait_for_state(drained.address, "healthy");
    list.write(&[drained.address]);
    balancer.wait_for_state(other.address, "draining");
    let client = balancer.connect();
    assert_alive(&client, &drained.accept());
}

#[test]
fn a_drained_target_is_undrained_while_it_is_away() {
    let (away, other) = (Backend::start(), Backend::start());
    let list = List::new(&[away.address, other.address]);
    let balancer = list.balancer(&[]);
    balancer.wait_for_state(away.address, "healthy");
    let id = away.address.to_string();
    let absent = || {
        let answer = http::get(balancer.admin, "/targets").unwrap();
        serde_json::from_str::<Value>(&answer.body).unwrap()["drained_absent"].clone()
    };
    assert_eq!(order(&balancer, away.address, "drain").0, 200);
    assert_eq!(absent(), json!([]));
    list.write(&[other.address]);
    let target = || balancer.target(away.address);
    wait_for("its being forgotten", target, Value::is_null);
    assert_eq!(absent(), json!([id]));
    let (status, answer) = order(&balancer, away.address, "drain");
    assert_eq!((status, &answer["drained_absent"]), (200, &json!([id])), "it stands: {answer}");

    let (status, answer) = order(&balancer, away.address, "undrain");
    assert_eq!(status, 200, "{answer}");
    assert_eq!((&answer["targets"], &answer["drained_absent"]), (&json!([]), &json!([])));
    assert_eq!(absent(), json!([]));
    let (status, answer) = order(&balancer, away.address, "undrain");
    assert_eq!(status, 404, "neither a target nor an order: {answer}");
    list.write(&[away.address]);
    balancer.wait_for_state(away.address, "healthy");
    wait_for("the one that is back", || balancer.get("/"), |answer| *answer == id);
}

#[test]
fn an_unhealthy_targets_connections_are_kept_or_reset_as_configured() {
    for wanted in ["keep", "reset"] {
        let (ill, other) = (Backend::start(), Backend::start());
        let environment = [("UNHEALTHY_CONNECTIONS", wanted), ("LOG_CONNECTIONS", "true")];
        let balancer = BINARY.start(&[ill.address, other.address], &environment);
        for target in [ill.address, other.address] {
            balancer.wait_for_state(target, "healthy");
        }
        let mut client = wait_for(
            "a connection to the one that falls ill",
            || {
                let mut client = balancer.client();
                let answer = client.get("/").unwrap();
                (client, answer.body)
            },
            |(_, body)| *body == ill.address.to_string(),
        )
        .0;
        ill.set_health(500);
        balancer.wait_for_state(ill.address, "unhealthy");
        if wanted == "keep" {
            assert_eq!(client.get("/").unwrap().status, 200);
        } else {
            assert_next_is_reset(&client.0);
            balancer.wait_for_log("end=target_unhealthy");
            balancer.wait_for_log("1 connection is reset (UNHEALTHY_CONNECTIONS=reset)");
            assert_eq!(balancer.log_lines("end=target_unhealthy").len(), 1);
        }
    }
}
