//! Targets whose checks pass although nobody can connect to them.

use std::thread;
use std::time::{Duration, Instant};

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::raw_target::RawTarget;
use crate::harness::{skip, wait_until};
use crate::load::Load;

const CLIENTS: usize = 20;

/// Sends clients, each of which must be served, until the target is in this state.
fn serve_until(balancer: &Balancer, target: &Backend, state: &str) {
    wait_until(state, || {
        balancer.get("/");
        balancer.target(target.address)["state"] == state
    });
}

/// How often a breaker has turned to this state.
fn turns(balancer: &Balancer, to: &str) -> u64 {
    balancer.count(&format!("circuit_breaker_transitions_total{{to=\"{to}\"}}"))
}

#[test]
fn a_target_that_refuses_is_left_alone_until_a_trial_reaches_it() {
    const TIMEOUT: Duration = Duration::from_millis(500);
    let (steady, mut failing) = (Backend::start(), Backend::start());
    let environment = [("CIRCUIT_BREAKER_TIMEOUT", "500ms"), ("BALANCE", "round_robin")];
    let balancer = Balancer::start(&[steady.address, failing.address], &environment);
    balancer.wait_for_state(steady.address, "healthy");
    balancer.wait_for_state(failing.address, "healthy");

    failing.refuse();
    let started = Instant::now();
    serve_until(&balancer, &failing, "ejected");
    assert_eq!(balancer.target(failing.address)["reason"], "5 dials in a row failed");
    let state = format!("circuit_breaker_state{{node=\"{}\"}}", failing.address);
    assert_eq!(balancer.count(&state), 2);

    // One trial after another fails, at no client's cost.
    let turns = |to| turns(&balancer, to);
    wait_until("a second trial", || {
        balancer.get("/");
        turns("half_open") >= 2
    });
    let failed = balancer.count("failed_dials_total");
    let most = 5 + started.elapsed().as_millis() / TIMEOUT.as_millis();
    // Dials that were under way when it opened are not among the five.
    assert!(u128::from(failed) <= most + 2, "{failed} dials failed, expected {most}");

    failing.accept();
    serve_until(&balancer, &failing, "healthy");
    assert_eq!(turns("closed"), 1);
    let answers: Vec<_> = (0..CLIENTS).map(|_| balancer.get("/")).collect();
    assert!(answers.contains(&failing.address.to_string()), "{answers:?}");
    assert_eq!(balancer.count("failed_connections_total"), 0);
    assert_eq!(balancer.log_lines("is healthy: the trial connection reached it").len(), 1);
}

#[test]
fn a_trial_is_one_connection_however_many_cores_have_clients() {
    if thread::available_parallelism().unwrap().get() < 2 {
        return skip("there is one CPU only");
    }
    // A dial to it lasts until it is given up: were there more, they would be seen together.
    let (steady, silent) = (Backend::start(), RawTarget::blackhole());
    let environment = [
        ("CORES", "2"),
        ("POOL_TIMEOUT", "300ms"),
        ("CIRCUIT_BREAKER_TIMEOUT", "600ms"),
        ("BALANCE", "round_robin"),
    ];
    let balancer = Balancer::start(&[steady.address, silent.address], &environment);
    balancer.wait_for_state(steady.address, "healthy");
    balancer.wait_for_state(silent.address, "healthy");
    let dials = || balancer.target(silent.address)["active_connections"].as_u64().unwrap();
    // While it is open and none of its dials is under way: how often it was opened, failed dials.
    let mut before = (0, 0);
    let load = Load::with_pauses(Duration::from_millis(5));
    load.around(&balancer, 8, |load| {
        wait_until("it is left alone", || {
            let opened = turns(&balancer, "open");
            let is_left_alone = dials() == 0;
            before = (opened, balancer.count("failed_dials_total"));
            is_left_alone && opened > 0 && turns(&balancer, "half_open") < opened
        });
        let mut most = 0;
        wait_until("three trials are over", || {
            most = most.max(dials());
            turns(&balancer, "open") >= before.0 + 3
        });
        assert_eq!(most, 1);
        load.wait_for_served(1);
    });
    wait_until("the last one's end", || dials() == 0);
    let failed = balancer.count("failed_dials_total") - before.1;
    wait_until("it is told of", || turns(&balancer, "open") - before.0 == failed);
    assert_eq!(balancer.count("failed_connections_total"), 0);
}
