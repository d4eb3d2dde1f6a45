//! One balancer from its start to its end, through all that its clients can notice: what has to be
//! seen on every architecture and kernel (`scripts/arm64-test`), however slow they are.

use std::net::{Shutdown, SocketAddr};

use rustix::process::Signal;
use serde_json::Value;

use crate::eligibility::target_file::{start_with, write};
use crate::load::Load;
use testkit::backend::{Backend, RawTarget};
use testkit::balancer::Balancer;
use testkit::net::stream::{assert_alive, assert_next_is_reset, read_to_end, reset};
use testkit::scratch::Scratch;
use testkit::wait::{wait_for, wait_until};

#[test]
fn one_balancer_serves_through_all_that_befalls_its_targets() {
    let scratch = Scratch::new();
    let mut backends = [Backend::start(), Backend::start()];
    let addresses = backends.each_ref().map(|backend| backend.address);
    write(&scratch, &addresses);
    // Whose end of a connection is whose would be unclear with some preconnected.
    let mut balancer = start_with(&scratch, &[("POOL_SIZE", "0")]);

    requests_are_shared(&balancer, addresses);
    a_client_that_sent_fin_is_answered(&balancer, addresses);
    a_killed_target_costs_no_client_anything(&balancer, &mut backends);

    let held = RawTarget::start();
    write(&scratch, &[held.address]);
    balancer.wait_for_state(held.address, "healthy");
    for address in addresses {
        wait_for("the old one is gone", || balancer.target(address), Value::is_null);
    }
    a_reset_is_passed_on(&balancer, &held);
    what_lives_goes_on_until_it_ends(&mut balancer, &held);
}

fn requests_are_shared(balancer: &Balancer, addresses: [SocketAddr; 2]) {
    for address in addresses {
        balancer.wait_for_state(address, "healthy");
    }
    let mut served = addresses.map(|_| 0);
    wait_until("each has served ten", || {
        let by = balancer.get("/");
        let index = addresses.iter().position(|address| address.to_string() == by);
        served[index.unwrap()] += 1;
        served.iter().all(|count| *count >= 10)
    });
}

fn a_client_that_sent_fin_is_answered(balancer: &Balancer, addresses: [SocketAddr; 2]) {
    let mut client = balancer.client();
    client.send("/").unwrap();
    client.0.shutdown(Shutdown::Write).unwrap();
    let answer = client.receive().unwrap();
    assert_eq!(answer.status, 200);
    assert!(addresses.iter().any(|address| address.to_string() == answer.body));
    assert_eq!(read_to_end(&client.0).unwrap(), b"");
    balancer.wait_for_count("active_connections", 0);
}

fn a_killed_target_costs_no_client_anything(balancer: &Balancer, backends: &mut [Backend; 2]) {
    Load::default().around(balancer, 2, |load| {
        load.wait_for_served(20);
        load.kill(|| backends[0].kill());
        wait_until("taken out", || balancer.target(backends[0].address)["state"] != "healthy");
        load.wait_for_served(20);
    });
    assert_eq!(balancer.count("failed_connections_total"), 0);
}

fn a_reset_is_passed_on(balancer: &Balancer, held: &RawTarget) {
    for client_resets in [true, false] {
        let (client, target) = (balancer.connect(), held.accept());
        assert_alive(&client, &target);
        let (resetting, other) = if client_resets { (client, target) } else { (target, client) };
        reset(resetting);
        assert_next_is_reset(&other);
        balancer.wait_for_count("active_connections", 0);
    }
}

fn what_lives_goes_on_until_it_ends(balancer: &mut Balancer, held: &RawTarget) {
    let (client, target) = (balancer.connect(), held.accept());
    assert_alive(&client, &target);
    balancer.signal(Signal::TERM);
    balancer.wait_for_log("no client is accepted any more");
    assert_alive(&client, &target);
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&target).unwrap(), b"");
    drop(target);
    assert_eq!(read_to_end(&client).unwrap(), b"");
    assert_eq!(balancer.wait_for_end().0, Some(0));
}
