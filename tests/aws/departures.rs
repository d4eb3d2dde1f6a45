//! Instances that are to have no new connections, and those they have.

use std::time::{Duration, Instant};

use crate::harness::clients::{Client, Clients};
use crate::harness::fleet::Fleet;

#[test]
fn a_terminated_instance_is_drained_and_cut_when_its_time_is_up() {
    let Some(mut fleet) = Fleet::start() else { return };
    let instances: Vec<_> = (0..3).map(|_| fleet.launch()).collect();
    fleet.tag(&instances, "Name", "worker-node");
    let variables = [("NODE_FILTER", "tag"), ("DRAIN_TIMEOUT", "2s")];
    let balancer = fleet.balancer(&instances, &variables);
    let clients = Clients::start(balancer.address());
    let mut client = Client::connect(balancer.address()).unwrap();
    let address = client.ask().unwrap();
    let leaving = instances.iter().find(|instance| instance.address == address).unwrap();

    fleet.end("TerminateInstances", leaving);
    balancer.wait_for_state(leaving, "draining");
    let drained = Instant::now();
    assert!(!clients.next_targets(50).contains(&address));
    let mut answers = 0;
    while client.ask().is_ok_and(|answer| answer == address) {
        answers += 1;
        std::thread::sleep(Duration::from_millis(10));
    }
    let taken = drained.elapsed();
    assert!(answers > 10 && taken > Duration::from_millis(1500), "{answers} in {taken:?}");
    assert!(taken < Duration::from_secs(5), "{taken:?}");
}

#[test]
fn members_out_of_service_are_drained_and_come_back() {
    let Some(mut fleet) = Fleet::start() else { return };
    let members = fleet.scale_out(3);
    let balancer = fleet.balancer(&members, &[]);
    let clients = Clients::start(balancer.address());
    let mut client = Client::connect(balancer.address()).unwrap();
    let address = client.ask().unwrap();
    let member = members.iter().find(|member| member.address == address).unwrap();
    let mut expect = |state| {
        balancer.wait_for_state(member, state);
        let is_used = state == "healthy";
        assert_eq!(clients.next_targets(100).contains(&address), is_used, "{state}");
        assert_eq!(client.ask().unwrap(), address, "{state}");
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
