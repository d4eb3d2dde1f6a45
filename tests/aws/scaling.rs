//! Instances come and go.

use std::time::{Duration, Instant};

use crate::clients::{Clients, connect};
use crate::fleet::{Fleet, wait_for_healthy};
use testkit::wait::wait_until;

#[test]
fn a_new_member_gets_traffic_soon_and_a_detached_one_no_more() {
    let Some(mut fleet) = Fleet::start() else { return };
    let members = fleet.scale_out(3);
    let periods = [("NODE_CHECK_PERIOD", "1s"), ("HEALTH_CHECK_PERIOD", "200ms")];
    let balancer = fleet.balancer(&members, &periods);
    let clients = Clients::start(balancer.address);
    for _ in 0..2 {
        let new = fleet.scale_out(1).remove(0);
        let scaled_out = Instant::now();
        wait_until("the new member is seen", || clients.targets().contains(&new.address));
        let taken = scaled_out.elapsed();
        assert!(taken < Duration::from_millis(1100 + 440 + 2000), "{taken:?}");
    }
    fleet.change_member("DetachInstances", &members[0]);
    balancer.wait_for_state(&members[0].id, "draining");
    assert!(!clients.next_targets(50).contains(&members[0].address));
}

#[test]
fn one_that_was_scaled_in_leaves_with_its_last_connection() {
    let Some(mut fleet) = Fleet::start() else { return };
    let members = fleet.scale_out(2);
    let balancer = fleet.balancer(&members, &[]);
    let clients = Clients::start(balancer.address);
    let (mut client, leaving) = connect(&balancer, &members);
    let staying = members.iter().find(|member| *member != leaving).unwrap();
    fleet.scale_in(leaving);
    balancer.wait_for_state(&leaving.id, "draining");
    assert_eq!(clients.next_targets(50), std::slice::from_ref(&staying.address));
    balancer.wait_for_refreshes("ok", 2);
    assert_eq!(client.get("/").unwrap().body, leaving.address);
    assert_eq!(balancer.target(&leaving.id)["state"], "draining");
    drop(client);
    wait_until("it is gone", || balancer.target(&leaving.id).is_null());
}

#[test]
fn another_instance_at_the_same_address_is_another_target() {
    let Some(mut fleet) = Fleet::start() else { return };
    let members = fleet.scale_out(3);
    let balancer = fleet.balancer(&members, &[]);
    let clients = Clients::start(balancer.address);
    let (mut client, old) = connect(&balancer, &members);
    let address = old.address.clone();
    // Both happen between two answers.
    fleet.scale_in(old);
    let new = fleet.launch_again_at(&address);
    fleet.attach(std::slice::from_ref(&new));
    assert_ne!(old.id, new.id);
    balancer.wait_for_state(&new.id, "healthy");
    balancer.wait_for_state(&old.id, "draining");
    clients.forget();
    wait_until("the new one is seen", || clients.targets().contains(&address));
    assert_eq!(client.get("/").unwrap().body, address);
    drop(client);
    wait_until("the old one is gone", || balancer.target(&old.id).is_null());
    assert_eq!(balancer.target(&new.id)["state"], "healthy");
}

#[test]
fn a_scale_in_beyond_the_limit_takes_effect_with_the_third_answer() {
    let Some(mut fleet) = Fleet::start() else { return };
    let members = fleet.scale_out(4);
    let balancer = fleet.balancer(&members, &[]);
    let _clients = Clients::start(balancer.address);
    let doubted = "discovery_refreshes_total{outcome=\"shrunk_doubted\"}";
    assert!(balancer.metric(doubted) < 0.5);
    // All within one answer.
    fleet.proxy.close();
    for member in &members[1..] {
        fleet.scale_in(member);
    }
    fleet.proxy.open();
    wait_for_healthy(&balancer, &members[..1]);
    assert!((balancer.metric(doubted) - 2.0).abs() < 0.5);
}
