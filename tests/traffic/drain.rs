//! Connections of targets that are not to be used any more.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::raw_target::RawTarget;
use crate::harness::scratch::Scratch;
use crate::harness::wait_for;

const NAME: &str = "targets.json";

/// What is discovered, to be changed.
struct List(Scratch);

impl List {
    fn new(targets: &[SocketAddr]) -> Self {
        let list = Self(Scratch::new());
        list.write(targets);
        list
    }

    fn write(&self, targets: &[SocketAddr]) {
        self.0.replace(NAME, &json!([{ "targets": targets, "labels": {} }]).to_string());
    }

    fn balancer(&self, environment: &[(&str, &str)]) -> Balancer {
        let path = self.0.path(NAME);
        let file = [
            ("NODE_FILTER", "file"),
            ("TARGETS_FILE", path.to_str().unwrap()),
            ("TARGETS", ""),
            ("LOG_CONNECTIONS", "true"),
        ];
        Balancer::start(&[], &[&file, environment].concat())
    }
}

/// Bytes arrive in both directions.
fn assert_alive(client: &TcpStream, target: &TcpStream) {
    for (mut from, mut to) in [(client, target), (target, client)] {
        from.write_all(b"x").unwrap();
        to.read_exact(&mut [0]).unwrap();
    }
}

fn assert_next_is_reset(mut stream: &TcpStream) {
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_withdrawn_targets_connections_are_reset_when_the_time_is_over() {
    let (old, new) = (RawTarget::start(), Backend::start());
    let list = List::new(&[old.address]);
    let balancer = list.balancer(&[("DRAIN_TIMEOUT", "1s")]);
    let client = balancer.connect();
    let target = old.accept();
    assert_alive(&client, &target);

    list.write(&[new.address]);
    balancer.wait_for_state(old.address, "draining");
    let withdrawn = Instant::now();
    assert_eq!(balancer.target(old.address)["reason"], "left discovery");
    balancer.wait_for_state(new.address, "healthy");
    let kept = balancer.client();
    while withdrawn.elapsed() < Duration::from_millis(600) {
        assert_alive(&client, &target);
    }
    assert_next_is_reset(&client);
    let waited = withdrawn.elapsed();
    assert!(waited > Duration::from_millis(700) && waited < Duration::from_secs(3), "{waited:?}");
    assert_next_is_reset(&target);
    balancer.wait_for_log("end=target_withdrawn");
    balancer.wait_for_log(&format!("target {}: 1 connection is reset", old.address));
    wait_for("the old one is gone", || balancer.target(old.address), Value::is_null);
    // Others' connections go on.
    let mut kept = kept;
    assert_eq!(kept.get("/").unwrap().1, new.address.to_string().as_bytes());
}

#[test]
fn a_client_whose_dial_is_revoked_gets_another_target() {
    let (silent, new) = (RawTarget::blackhole(), Backend::start());
    let list = List::new(&[silent.address]);
    let environment =
        [("DRAIN_TIMEOUT", "500ms"), ("POOL_TIMEOUT", "1h"), ("CONNECT_ATTEMPTS", "1")];
    let balancer = list.balancer(&environment);
    let mut client = balancer.client();
    client.send("/").unwrap();
    wait_for("a dial", || balancer.target(silent.address), |it| it["active_connections"] == 1);
    list.write(&[new.address]);
    assert_eq!(client.receive().unwrap().1, new.address.to_string().as_bytes());
    assert_eq!(balancer.count("failed_dials_total"), 0);
    wait_for("the old one is gone", || balancer.target(silent.address), Value::is_null);
}
