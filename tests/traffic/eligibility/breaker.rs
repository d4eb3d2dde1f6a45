//! Targets that nobody can connect to for a while, whatever their checks say.

use std::time::{Duration, Instant};

use crate::BINARY;
use crate::load::Load;
use testkit::backend::{Backend, addresses};
use testkit::balancer::Balancer;
use testkit::http;
use testkit::wait::wait_until;

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

fn start(backends: &[&Backend], environment: &[(&str, &str)]) -> Balancer {
    let addresses = addresses(backends);
    let environment: Vec<_> =
        [("BALANCE", "round_robin")].iter().chain(environment).copied().collect();
    let balancer = BINARY.start(&addresses, &environment);
    for address in addresses {
        balancer.wait_for_state(address, "healthy");
    }
    balancer
}

#[test]
fn a_target_that_refuses_is_left_alone_until_the_control_plane_reaches_it() {
    let (steady, mut failing) = (Backend::start(), Backend::start());
    let balancer = start(&[&steady, &failing], &[]);
    failing.refuse();
    serve_until(&balancer, &failing, "ejected");
    let opened = Instant::now();
    let refused = "5 connects in a row failed: connection refused; tried again after 1s";
    assert_eq!(balancer.target(failing.address)["reason"], refused);
    let state = format!("circuit_breaker_state{{node=\"{}\"}}", failing.address);
    assert_eq!(balancer.count(&state), 2);
    let line = format!("target {} is ejected: {refused}", failing.address);
    assert_eq!(balancer.log_lines(&line).len(), 1);
    // Connects that were under way when it opened are not among the five.
    let failed = balancer.count("failed_connects_total");
    assert!((5..=7).contains(&failed), "{failed} connects failed");

    wait_until("a failed attempt", || {
        balancer.get("/");
        turns(&balancer, "open") == 2
    });
    assert!(opened.elapsed() >= Duration::from_millis(900), "{:?}", opened.elapsed());
    failing.accept();
    wait_until("an attempt that succeeds", || {
        balancer.get("/");
        turns(&balancer, "closed") == 1
    });
    assert_eq!(balancer.count("failed_connects_total"), failed, "no client was a trial");
    assert_eq!(turns(&balancer, "half_open"), 2);
    balancer.wait_for_state(failing.address, "healthy");
    let answers: Vec<_> = (0..CLIENTS).map(|_| balancer.get("/")).collect();
    assert!(answers.contains(&failing.address.to_string()), "{answers:?}");
    assert_eq!(balancer.count("failed_connections_total"), 0);
    assert_eq!(balancer.log_lines("is healthy: it can be connected to again").len(), 1);
}

#[test]
fn targets_that_are_checked_where_they_serve_are_back_as_soon_as_they_are_well() {
    let mut backends = [(); 3].map(|()| Backend::start());
    let [a, b, c] = &backends;
    // Not so soon that the restart is over before a breaker has opened.
    let balancer =
        start(&[a, b, c], &[("HEALTH_CHECK_PORT", ""), ("HEALTH_CHECK_PERIOD", "300ms")]);
    let load = Load::with_pauses(Duration::from_millis(1));
    load.around(&balancer, 2, |load| {
        for (restarts, backend) in (1..).zip(&mut backends) {
            load.wait_for_served(10);
            // What a killed server has accepted no balancer can save.
            load.between_requests(|| backend.refuse());
            wait_until("its breaker opens", || turns(&balancer, "open") == restarts);
            backend.accept();
            let well = Instant::now();
            wait_until("it closes", || turns(&balancer, "closed") == restarts);
            balancer.wait_for_state(backend.address, "healthy");
            // Two checks, since the first may have begun before.
            println!("back after {:?}", well.elapsed());
            let served = backend.accepted();
            wait_until("it gets clients", || backend.accepted() > served + 20);
        }
    });
    // Checks have found out, not attempts.
    assert_eq!(["open", "half_open", "closed"].map(|to| turns(&balancer, to)), [3, 0, 3]);
    assert_eq!(balancer.count("failed_connections_total"), 0);
    assert_eq!(balancer.count("fail_open"), 0);
}

#[test]
fn while_all_are_ejected_those_that_pass_their_checks_are_used_and_a_client_brings_one_back() {
    let (mut passing, mut failing) = (Backend::start(), Backend::start());
    let balancer = start(&[&passing, &failing], &[]);
    passing.refuse();
    failing.refuse();
    let is_served = || http::get(balancer.address, "/").is_ok();
    wait_until("both are ejected", || {
        assert!(!is_served());
        turns(&balancer, "open") >= 2
    });
    balancer.wait_for_count("fail_open", 1);
    failing.set_health(500);
    wait_until("its checks fail", || {
        balancer.target(failing.address)["check_failure"].to_string().contains("status 500")
    });
    // By now its listener would take clients, but none may come.
    failing.accept();
    // The next attempt is so far off that a client comes first.
    wait_until("attempts are rare", || {
        let reason = balancer.target(passing.address)["reason"].to_string();
        reason.contains("tried again after 8s")
    });
    passing.accept();
    let answers: Vec<_> = (0..CLIENTS).map(|_| balancer.get("/")).collect();
    let accepted = Instant::now();
    assert!(answers.iter().all(|by| *by == passing.address.to_string()), "{answers:?}");
    balancer.wait_for_state(passing.address, "healthy");
    assert!(accepted.elapsed() < Duration::from_secs(4), "{:?}", accepted.elapsed());
    balancer.wait_for_count("fail_open", 0);
    assert_eq!(failing.accepted(), 0);
    assert_eq!(balancer.target(failing.address)["state"], "ejected");
}
