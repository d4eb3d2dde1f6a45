//! What makes an instance a target.

use std::time::{Duration, Instant};

use crate::clients::{Clients, connect};
use crate::fleet::{Fleet, wait_for_healthy};
use testkit::wait::wait_until;

/// Two discovery periods' worth of a busy machine.
const SLACK: Duration = Duration::from_secs(3);

#[test]
fn the_default_variables_do() {
    let Some(mut fleet) = Fleet::start_at_defaults() else { return };
    let members = fleet.scale_out(3);
    // No member of the group.
    fleet.launch();
    let balancer = fleet.spawn_default_balancer();
    wait_for_healthy(&balancer, &members);
    assert_eq!(balancer.readiness(), Some(200));

    let clients = Clients::start(balancer.address);
    wait_until("each member is seen", || clients.targets().len() == members.len());
    for target in balancer.targets() {
        let member = members.iter().find(|member| member.id == target["id"]).unwrap();
        assert_eq!(target["address"], fleet.socket_address(member).to_string());
    }
    let targets = balancer.targets();
    let mut zones: Vec<_> = targets.iter().map(|it| it["zone"].as_str().unwrap()).collect();
    zones.sort_unstable();
    zones.dedup();
    assert_eq!(zones, ["eu-west-1a", "eu-west-1b"]);

    let new = fleet.scale_out(1).remove(0);
    let scaled_out = Instant::now();
    wait_until("the new member is seen", || clients.targets().contains(&new.address));
    // NODE_CHECK_PERIOD with its jitter, and two health checks.
    let taken = scaled_out.elapsed();
    assert!(taken < Duration::from_secs(11 + 4) + SLACK, "{taken:?}");

    let all = [members, vec![new]].concat();
    let (mut client, leaving) = connect(&balancer, &all);
    fleet.scale_in(leaving);
    balancer.wait_for_state(&leaving.id, "draining");
    assert!(!clients.next_targets(50).contains(&leaving.address));
    assert_eq!(client.get("/").unwrap().body, leaving.address);
}

#[test]
fn every_page_of_running_instances_with_the_tag() {
    let Some(mut fleet) = Fleet::start() else { return };
    fleet.proxy.set_page(2);
    let tagged: Vec<_> = (0..7).map(|_| fleet.launch()).collect();
    fleet.tag(&tagged, "Role", "web");
    let others = [fleet.launch(), fleet.launch()];
    fleet.tag(&others[..1], "Role", "db");
    let variables = [("NODE_FILTER", "tag"), ("TAG_NAME", "Role"), ("TAG_VALUE", "web")];
    let balancer = fleet.balancer(&tagged, &variables);
    assert!(fleet.proxy.asked("DescribeInstances") >= 4);
    assert_eq!(fleet.proxy.asked("DescribeAutoScalingGroups"), 0);
    assert_eq!(balancer.targets().len(), tagged.len());

    let clients = Clients::start(balancer.address);
    fleet.tag(&others[1..], "Role", "web");
    wait_until("the newly tagged is seen", || clients.targets().contains(&others[1].address));
    fleet.end("StopInstances", &tagged[0]);
    balancer.wait_for_state(&tagged[0].id, "draining");
    assert!(!clients.next_targets(50).contains(&tagged[0].address));
}

#[test]
fn every_page_of_the_groups_members() {
    let Some(mut fleet) = Fleet::start() else { return };
    fleet.proxy.set_page(2);
    let members = fleet.scale_out(7);
    fleet.launch();
    let balancer = fleet.balancer(&members, &[]);
    assert!(fleet.proxy.asked("DescribeInstances") >= 4);
    assert_eq!(balancer.targets().len(), members.len());
    let clients = Clients::start(balancer.address);
    wait_until("each member is seen", || clients.targets().len() == members.len());
}
