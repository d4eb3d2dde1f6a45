use std::io::Read;

use rustix::process::Signal;
use serde_json::json;

use crate::BINARY;
use crate::load::Load;
use testkit::backend::Backend;
use testkit::http;
use testkit::wait::{wait_for, wait_until};

#[test]
fn it_is_ready_while_it_accepts_and_a_target_is_eligible() {
    let backend = Backend::start();
    backend.set_health(0);
    let environment = [("HEALTH_CHECK_TIMEOUT", "15s"), ("SHUTDOWN_TIMEOUT", "15s")];
    let mut balancer = BINARY.spawn(&[backend.address], &environment);
    let address = backend.address.to_string();
    let health = format!("node_health_status{{node=\"{address}\"}}");
    wait_until("the admin server answers", || balancer.readiness().is_some());
    // It does so before the list of targets is read.
    balancer.wait_for_state(backend.address, "checking");
    assert_eq!(balancer.readiness(), Some(503));
    let checking = json!({"id": address, "address": address, "zone": null, "state": "checking",
        "reason": null, "checks": "pending", "check_failure": null, "active_connections": 0});
    wait_for("the target", || balancer.target(backend.address), |target| *target == checking);
    assert_eq!(balancer.count(&health), 0);

    backend.set_health(200);
    balancer.wait_until_ready();
    assert_eq!(balancer.target(backend.address)["state"], "healthy");
    assert_eq!(balancer.count(&health), 1);
    assert_eq!(balancer.count("fail_open"), 0);

    let mut client = balancer.client();
    client.get("/").unwrap();
    balancer.signal(Signal::TERM);
    wait_for("the end to begin", || balancer.readiness(), |status| *status == Some(503));
    assert_eq!(http::get(balancer.admin, "/healthz").unwrap().status, 200);
    client.get("/").unwrap();
    drop(client);
    assert_eq!(balancer.wait_for_end().0, Some(0));
}

#[test]
fn clients_are_counted() {
    let backend = Backend::start();
    let balancer = BINARY.start(&[backend.address], &[]);
    for name in ["active_connections", "successful_connections_total", "failed_connections_total"] {
        assert_eq!(balancer.count(name), 0, "{name}");
    }
    let clients = [(); 3].map(|()| {
        let mut client = balancer.client();
        client.get("/").unwrap();
        client
    });
    assert_eq!(balancer.count("active_connections"), 3);
    assert_eq!(balancer.count("successful_connections_total"), 3);
    assert_eq!(balancer.target(backend.address)["active_connections"], 3);
    drop(clients);
    balancer.wait_for_count("active_connections", 0);
    assert_eq!(balancer.count("successful_connections_total"), 3);
    assert_eq!(balancer.count("failed_connections_total"), 0);
    assert_eq!(balancer.target(backend.address)["active_connections"], 0);
    let checks = balancer.count("health_check_latency_seconds_count");
    assert!(checks > 0);
    let checked_again = |count: &u64| *count > checks;
    wait_for("more checks", || balancer.count("health_check_latency_seconds_count"), checked_again);
}

#[test]
fn a_killed_target_costs_no_new_client_anything_and_comes_back() {
    let mut backends = [Backend::start(), Backend::start()];
    let addresses = [backends[0].address, backends[1].address];
    // Failed connects may take it out before failed checks do.
    let balancer = BINARY.start(&addresses, &[("CIRCUIT_BREAKER_TIMEOUT", "100ms")]);
    for address in addresses {
        balancer.wait_for_state(address, "healthy");
    }
    Load::default().around(&balancer, 4, |load| {
        load.wait_for_served(100);
        load.kill(|| backends[0].kill());
        wait_until("taken out", || balancer.target(addresses[0])["state"] != "healthy");
        load.wait_for_served(100);
        backends[0].revive();
        balancer.wait_for_state(addresses[0], "healthy");
        wait_until("traffic again", || backends[0].accepted() >= 20);
    });
    assert_eq!(balancer.count("failed_connections_total"), 0);
}

#[test]
fn with_no_healthy_target_all_are_used() {
    let backends = [Backend::start(), Backend::start()];
    for backend in &backends {
        backend.set_health(500);
    }
    let addresses = [backends[0].address, backends[1].address];
    // Without connections that nobody asked for.
    let environment = [("BALANCE", "round_robin"), ("CORES", "1"), ("POOL_SIZE", "0")];
    let balancer = BINARY.start(&addresses, &environment);
    balancer.wait_for_count("fail_open", 1);
    for address in addresses {
        balancer.wait_for_state(address, "unhealthy");
    }
    for _ in 0..10 {
        balancer.get("/");
    }
    assert_eq!([backends[0].accepted(), backends[1].accepted()], [5, 5]);

    backends[1].set_health(200);
    balancer.wait_for_count("fail_open", 0);
    let health = format!("node_health_status{{node=\"{}\"}}", addresses[0]);
    assert_eq!(balancer.count(&health), 0);
    wait_until("the core knows", || balancer.get("/") == balancer.get("/"));
    for _ in 0..10 {
        assert_eq!(balancer.get("/"), addresses[1].to_string());
    }
}

#[test]
fn clients_that_come_before_the_first_check_wait_for_it() {
    let backend = Backend::start();
    backend.set_health(0);
    let balancer = BINARY.spawn(&[backend.address], &[("HEALTH_CHECK_TIMEOUT", "15s")]);
    wait_until("the admin server answers", || balancer.readiness().is_some());
    let mut client = balancer.client();
    client.send("/").unwrap();
    client.0.set_nonblocking(true).unwrap();
    assert_eq!(client.0.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    client.0.set_nonblocking(false).unwrap();
    backend.set_health(200);
    assert_eq!(client.receive().unwrap().body, backend.address.to_string());
    assert_eq!(balancer.count("failed_connections_total"), 0);
}

#[test]
fn without_checks_every_target_is_used_at_once_and_breakers_tell_who_is_not_there() {
    let mut backends = [Backend::start(), Backend::start()];
    let addresses = [backends[0].address, backends[1].address];
    backends[1].refuse();
    let environment = [
        ("HEALTH_CHECK_PROTOCOL", "none"),
        ("CIRCUIT_BREAKER_THRESHOLD", "1"),
        ("BALANCE", "round_robin"),
    ];
    let balancer = BINARY.start(&addresses, &environment);
    assert_eq!(balancer.ids("healthy").len(), 2);
    wait_until("a client has found out", || {
        balancer.client().get("/").unwrap();
        balancer.target(addresses[1])["state"] == "ejected"
    });
    backends[1].accept();
    balancer.wait_for_state(addresses[1], "healthy");
    assert_eq!(backends[0].checks() + backends[1].checks(), 0);
}

#[test]
fn what_a_check_cannot_look_for_is_refused_in_one_message() {
    let variables = [
        ("TARGETS", "127.0.0.1"),
        ("NODE_FILTER", "static"),
        ("HEALTH_CHECK_PROTOCOL", "tcp"),
        ("HEALTH_CHECK_MATCH", "ok"),
        ("HEALTH_CHECK_HOST", "10.0.0.1"),
    ];
    let ended = BINARY.run_to_end(variables);
    for told in ["HEALTH_CHECK_MATCH", "HEALTH_CHECK_PROTOCOL=http", "HEALTH_CHECK_HOST", "address"]
    {
        assert!(ended.stderr.contains(told), "{told}: {ended:?}");
    }
}
