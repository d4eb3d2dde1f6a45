//! What AWS states holds at once; what it does not mention is doubted.

use crate::fleet::{ADDRESSES, Fleet, IDS, refreshes, wait_for_healthy};
use testkit::balancer::Balancer;
use testkit::http;
use testkit::wait::wait_until;

/// Waits until exactly these are in use.
#[track_caller]
fn wait_for(balancer: &Balancer, ids: &[&str]) {
    wait_until(&format!("{ids:?} are in use"), || balancer.ids("healthy") == ids);
}

#[test]
fn a_member_that_ec2_does_not_know_stops_no_removal() {
    let fleet = Fleet::start();
    let balancer = fleet.ready_balancer(&[]);
    // One that never was a target: the group says InService, and goes on saying so.
    let mut all: Vec<_> = IDS.into_iter().zip(ADDRESSES).collect();
    all.push(("i-dead", "127.0.1.99"));
    fleet.aws.set_instances(&all);
    fleet.aws.hide("i-dead");
    balancer.wait_for_refreshes("partial", 1);
    assert_eq!(balancer.ids("healthy"), IDS);

    fleet.aws.set_lifecycle("i-2", "Standby");
    wait_for(&balancer, &["i-1", "i-3", "i-4"]);
    fleet.aws.detach("i-3");
    wait_for(&balancer, &["i-1", "i-4"]);
    // One that is a target stays one while nothing is certain of it.
    fleet.aws.hide("i-4");
    balancer.wait_for_refreshes("partial", 5);
    assert_eq!(balancer.ids("healthy"), ["i-1", "i-4"]);
    fleet.aws.set_lifecycle("i-4", "Terminating");
    wait_for(&balancer, &["i-1"]);
    balancer.wait_for_log("EC2 does not know 1 members that the group has in service (i-dead");
}

#[test]
fn a_replacement_that_the_group_states_takes_effect_at_once() {
    let fleet = Fleet::start();
    fleet.resize(1);
    let balancer = fleet.balancer(&[]);
    wait_for_healthy(&balancer, 1);
    fleet.resize(2);
    fleet.aws.set_lifecycle("i-1", "Terminating:Wait");
    wait_for(&balancer, &["i-2"]);
    assert!(refreshes(&balancer, "shrunk_doubted") < 0.5);
    for _ in 0..20 {
        assert_eq!(http::get(balancer.address, "/").unwrap().body, ADDRESSES[1]);
    }
}

#[test]
fn a_shrinking_is_doubted_as_far_as_it_is_not_stated() {
    let fleet = Fleet::start();
    let balancer = fleet.ready_balancer(&[("NODE_CHECK_PERIOD", "1s")]);
    // Beyond the limit.
    for id in &IDS[1..] {
        fleet.aws.set_lifecycle(id, "Standby");
    }
    wait_for(&balancer, &["i-1"]);
    assert!(refreshes(&balancer, "shrunk_doubted") < 0.5);

    fleet.resize(4);
    wait_for_healthy(&balancer, 4);
    for id in &IDS[1..] {
        fleet.aws.detach(id);
    }
    balancer.wait_for_refreshes("shrunk_doubted", 1);
    assert_eq!(balancer.ids("healthy"), IDS);
    wait_for(&balancer, &["i-1"]);
    assert!((refreshes(&balancer, "shrunk_doubted") - 2.0).abs() < 0.5);
}

#[test]
fn who_has_an_address_keeps_it_as_long_as_aws_lists_it() {
    let fleet = Fleet::start();
    fleet.aws.set_instances(&[("i-5", ADDRESSES[0]), ("i-6", ADDRESSES[1])]);
    let balancer = fleet.balancer(&[]);
    wait_for(&balancer, &["i-5", "i-6"]);
    fleet.aws.set_instances(&[
        ("i-1", ADDRESSES[0]),
        ("i-5", ADDRESSES[0]),
        ("i-6", ADDRESSES[1]),
        ("i-9", ADDRESSES[1]),
    ]);
    balancer.wait_for_refreshes("ok", 5);
    assert_eq!(balancer.ids("healthy"), ["i-5", "i-6"]);
    balancer.wait_for_log("instance i-1 is no target: another instance has the same address");
    fleet.aws.set_lifecycle("i-5", "Terminating");
    wait_for(&balancer, &["i-1", "i-6"]);
}
