//! Instances that are to have no new connections, and those they have.

use crate::clients::{Clients, connect};
use crate::fleet::{Fleet, wait_for_healthy};
use testkit::wait::wait_until;

#[test]
fn a_terminated_instance_is_drained_and_not_cut() {
    let Some(mut fleet) = Fleet::start() else { return };
    let instances: Vec<_> = (0..3).map(|_| fleet.launch()).collect();
    fleet.tag(&instances, "Name", "worker-node");
    let balancer = fleet.balancer(&instances, &[("NODE_FILTER", "tag")]);
    let clients = Clients::start(balancer.address);
    let (mut client, leaving) = connect(&balancer, &instances);

    fleet.end("TerminateInstances", leaving);
    balancer.wait_for_state(&leaving.id, "draining");
    assert!(!clients.next_targets(50).contains(&leaving.address));
    balancer.wait_for_refreshes("ok", 3);
    assert_eq!(client.get("/").unwrap().body, leaving.address);
    assert_eq!(balancer.target(&leaving.id)["state"], "draining");
    drop(client);
    wait_until("it is gone", || balancer.target(&leaving.id).is_null());
}

#[test]
fn members_out_of_service_are_drained_and_come_back() {
    let Some(mut fleet) = Fleet::start() else { return };
    let members = fleet.scale_out(3);
    // One that heeds connections would pass over the member that has the client's.
    let balancer = fleet.balancer(&members, &[("BALANCE", "random")]);
    let clients = Clients::start(balancer.address);
    let (mut client, member) = connect(&balancer, &members);
    let mut expect = |state| {
        balancer.wait_for_state(&member.id, state);
        let is_used = state == "healthy";
        let is_seen = clients.next_targets(100).contains(&member.address);
        assert_eq!(is_seen, is_used, "{state}");
        assert_eq!(client.get("/").unwrap().body, member.address, "{state}");
    };
    fleet.change_member("EnterStandby", member);
    expect("draining");
    fleet.change_member("ExitStandby", member);
    expect("healthy");
    // moto knows no such state.
    for lifecycle in ["Terminating:Wait", "Pending:Wait", "Terminating"] {
        fleet.proxy.set_lifecycle(&member.id, lifecycle);
        expect("draining");
        fleet.proxy.set_lifecycle(&member.id, "InService");
        expect("healthy");
    }
}

#[test]
fn a_member_that_ec2_does_not_know_stops_no_departure() {
    let Some(mut fleet) = Fleet::start() else { return };
    let members = fleet.scale_out(4);
    let balancer = fleet.balancer(&members, &[]);
    let clients = Clients::start(balancer.address);
    fleet.proxy.set_dead("i-dead");
    balancer.wait_for_refreshes("partial", 1);
    fleet.change_member("EnterStandby", &members[0]);
    fleet.change_member("DetachInstances", &members[1]);
    wait_for_healthy(&balancer, &members[2..]);
    let left: Vec<_> = members[2..].iter().map(|member| member.address.clone()).collect();
    let mut seen = clients.next_targets(100);
    seen.sort_by_key(|address| left.iter().position(|it| it == address));
    assert_eq!(seen, left);
    balancer.wait_for_log("EC2 does not know 1 members that the group has in service (i-dead");
}

#[test]
fn the_only_member_makes_room_for_its_successor_at_once() {
    let Some(mut fleet) = Fleet::start() else { return };
    let old = fleet.scale_out(1).remove(0);
    let balancer = fleet.balancer(std::slice::from_ref(&old), &[]);
    let clients = Clients::start(balancer.address);
    let new = fleet.scale_out(1).remove(0);
    fleet.proxy.set_lifecycle(&old.id, "Terminating:Wait");
    wait_for_healthy(&balancer, std::slice::from_ref(&new));
    balancer.wait_for_state(&old.id, "draining");
    assert_eq!(clients.next_targets(100), [new.address]);
    assert!(balancer.metric("discovery_refreshes_total{outcome=\"shrunk_doubted\"}") < 0.5);
}
