//! Instances that are to have no new connections, and those they have.

use crate::harness::clients::{Client, Clients};
use crate::harness::fleet::Fleet;
use crate::harness::wait_until;

#[test]
fn a_terminated_instance_is_drained_and_not_cut() {
    let Some(mut fleet) = Fleet::start() else { return };
    let instances: Vec<_> = (0..3).map(|_| fleet.launch()).collect();
    fleet.tag(&instances, "Name", "worker-node");
    let balancer = fleet.balancer(&instances, &[("NODE_FILTER", "tag")]);
    let clients = Clients::start(balancer.address());
    let (mut client, leaving) = Client::of(&balancer, &instances);

    fleet.end("TerminateInstances", leaving);
    balancer.wait_for_state(leaving, "draining");
    assert!(!clients.next_targets(50).contains(&leaving.address));
    balancer.wait_for_refreshes("ok", 3);
    assert_eq!(client.ask().unwrap(), leaving.address);
    assert_eq!(balancer.state(leaving).as_deref(), Some("draining"));
    drop(client);
    wait_until("it is gone", || balancer.state(leaving).is_none());
}

#[test]
fn members_out_of_service_are_drained_and_come_back() {
    let Some(mut fleet) = Fleet::start() else { return };
    let members = fleet.scale_out(3);
    // One that heeds connections would pass over the member that has the client's.
    let balancer = fleet.balancer(&members, &[("BALANCE", "random")]);
    let clients = Clients::start(balancer.address());
    let (mut client, member) = Client::of(&balancer, &members);
    let mut expect = |state| {
        balancer.wait_for_state(member, state);
        let is_used = state == "healthy";
        let is_seen = clients.next_targets(100).contains(&member.address);
        assert_eq!(is_seen, is_used, "{state}");
        assert_eq!(client.ask().unwrap(), member.address, "{state}");
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
