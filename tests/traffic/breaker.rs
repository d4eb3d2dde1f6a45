//! Targets whose checks pass although nobody can connect to them.

use std::time::{Duration, Instant};

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::wait_until;

const CLIENTS: usize = 20;

/// Sends clients, each of which must be served, until the target is in this state.
fn serve_until(balancer: &Balancer, target: &Backend, state: &str) {
    wait_until(state, || {
        balancer.get("/");
        balancer.target(target.address)["state"] == state
    });
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
    let turns =
        |to: &str| balancer.count(&format!("circuit_breaker_transitions_total{{to=\"{to}\"}}"));
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
