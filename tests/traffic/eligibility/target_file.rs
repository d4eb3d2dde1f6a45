use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use rustix::process::Signal;

use crate::BINARY;
use testkit::backend::Backend;
use testkit::balancer::Balancer;
use testkit::scratch::Scratch;
use testkit::wait::{wait_for, wait_until};

/// Of the file in a test's own directory.
pub(crate) const NAME: &str = "targets.json";

pub(crate) fn write(scratch: &Scratch, targets: &[SocketAddr]) {
    scratch.replace(NAME, &json!([{ "targets": targets, "labels": {} }]).to_string());
}

/// The variables with which a balancer finds its targets in a file.
pub(crate) fn variables(path: &Path) -> [(&str, &str); 3] {
    [("NODE_FILTER", "file"), ("TARGETS_FILE", path.to_str().unwrap()), ("TARGETS", "")]
}

/// Starts a balancer that reads the file, with further variables.
pub(crate) fn start_with(scratch: &Scratch, environment: &[(&str, &str)]) -> Balancer {
    let path = scratch.path(NAME);
    BINARY.start(&[], &[&variables(&path), environment].concat())
}

fn start(scratch: &Scratch) -> Balancer {
    start_with(scratch, &[])
}

#[test]
fn targets_come_and_go_with_the_file() {
    let scratch = Scratch::new();
    let (old, new) = (Backend::start(), Backend::start());
    write(&scratch, &[old.address]);
    let balancer = start(&scratch);
    let mut client = balancer.client();
    client.get("/").unwrap();

    write(&scratch, &[old.address, new.address]);
    balancer.wait_for_state(new.address, "healthy");
    wait_until("the new one is used", || balancer.get("/") == new.address.to_string());

    write(&scratch, &[new.address]);
    balancer.wait_for_state(old.address, "draining");
    wait_until("no other connection", || old.live() == 1);
    let accepted = old.accepted();
    for _ in 0..20 {
        assert_eq!(balancer.get("/"), new.address.to_string());
    }
    assert_eq!(old.accepted(), accepted);
    // What lives goes on.
    assert_eq!(client.get("/").unwrap().body, old.address.to_string());
    assert_eq!(balancer.target(old.address)["active_connections"], 1);
    drop(client);
    wait_for("the old one is gone", || balancer.target(old.address), Value::is_null);
}

#[test]
fn a_half_written_file_changes_nothing_and_is_told_once() {
    let scratch = Scratch::new();
    let backend = Backend::start();
    write(&scratch, &[backend.address]);
    let balancer = start(&scratch);
    let failures = || balancer.count("discovery_failures_total{kind=\"invalid\"}");
    assert_eq!(failures(), 0);

    // At once: a write(2) that empties the file first may be seen half done, as another fault.
    scratch.replace(NAME, "[{\"targets\": [\"127.0.");
    wait_for("several failures", failures, |count| *count >= 5);
    assert_eq!(balancer.get("/"), backend.address.to_string());
    assert_eq!(balancer.target(backend.address)["state"], "healthy");
    assert_eq!(balancer.log_lines("the last good targets stay in use").len(), 1);
    balancer.signal(Signal::HUP);
    balancer.wait_for_log("still is not valid: line 1");
    let before = failures();
    wait_for("reads that nobody asked for", failures, |count| *count >= before + 5);
    assert_eq!(balancer.log_lines("still is not valid").len(), 1);

    write(&scratch, &[backend.address]);
    balancer.wait_for_log("good again");
    let before = failures();
    fs::remove_file(scratch.path(NAME)).unwrap();
    let missing = || balancer.count("discovery_failures_total{kind=\"unreadable\"}");
    wait_for("several failures", missing, |count| *count >= 3);
    assert_eq!(failures(), before);
    assert_eq!(balancer.get("/"), backend.address.to_string());
    assert_eq!(balancer.log_lines("the last good targets stay in use").len(), 3);
}
