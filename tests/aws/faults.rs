//! Bad answers.

use crate::clients::Clients;
use crate::fleet::{Fleet, wait_for_healthy};
use testkit::aws::proxy::Fault;
use testkit::wait::wait_until;

/// An error as EC2 says it.
pub(crate) fn ec2_error(status: u16, code: &str) -> Fault {
    let body = format!(
        "<?xml version=\"1.0\"?><Response><Errors><Error><Code>{code}</Code><Message>no</Message>\
         </Error></Errors><RequestID>1</RequestID></Response>"
    );
    Fault::Answer { action: "DescribeInstances", status, body }
}

/// An error as Auto Scaling says it.
pub(crate) fn autoscaling_error(status: u16, code: &str) -> Fault {
    let body = format!(
        "<ErrorResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\"><Error>\
         <Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error>\
         <RequestId>1</RequestId></ErrorResponse>"
    );
    Fault::Answer { action: "DescribeAutoScalingGroups", status, body }
}

fn no_instances() -> Fault {
    let body = "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
                <requestId>1</requestId><reservationSet/></DescribeInstancesResponse>";
    Fault::Answer { action: "DescribeInstances", status: 200, body: body.to_owned() }
}

fn no_group() -> Fault {
    let body = "<DescribeAutoScalingGroupsResponse \
                xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\">\
                <DescribeAutoScalingGroupsResult><AutoScalingGroups/>\
                </DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>";
    Fault::Answer { action: "DescribeAutoScalingGroups", status: 200, body: body.to_owned() }
}

#[test]
fn whatever_goes_wrong_no_target_and_no_client_is_lost() {
    let Some(mut fleet) = Fleet::start() else { return };
    let members = fleet.scale_out(4);
    let balancer = fleet.balancer(&members, &[("NODE_CHECK_PERIOD", "300ms")]);
    let ids = balancer.ids("healthy");
    let clients = Clients::start(balancer.address);
    let html = "<html><body><h1>Internal Server Error</h1></body></html>".to_owned();
    for (fault, outcome, told) in [
        (
            Fault::Answer { action: "", status: 500, body: html },
            "server_error",
            "AWS has a problem",
        ),
        (Fault::Truncated, "malformed", "no sense in the answer"),
        (Fault::Broken, "malformed", "no sense in the answer"),
        (Fault::Hanging, "timeout", "no answer in time"),
        (no_instances(), "partial", "EC2 does not know 4 members"),
        (ec2_error(403, "UnauthorizedOperation"), "denied", "ec2:DescribeInstances"),
        (autoscaling_error(403, "AccessDenied"), "denied", "autoscaling:DescribeAutoScalingGroups"),
        (ec2_error(503, "RequestLimitExceeded"), "throttled", "AWS throttles ec2"),
        (autoscaling_error(400, "Throttling"), "throttled", "AWS throttles autoscaling"),
    ] {
        let shown = format!("{fault:?}");
        let logged = balancer.process.stderr().len();
        fleet.proxy.set_fault(fault);
        balancer.wait_for_refreshes(outcome, 1);
        assert_eq!(balancer.ids("healthy"), ids, "{shown}");
        wait_until(&format!("{told} is told of {shown}"), || {
            balancer.process.stderr()[logged..].contains(told)
        });
        assert_eq!(clients.next_targets(50).len(), ids.len(), "{shown}");
        fleet.proxy.set_fault(Fault::None);
        balancer.wait_for_refreshes("ok", 1);
        assert_eq!(balancer.ids("healthy"), ids, "{shown}");
    }
    assert_eq!(balancer.targets().len(), ids.len());
}

#[test]
fn an_empty_answer_is_believed_the_third_time_and_a_partial_one_never() {
    let Some(mut fleet) = Fleet::start() else { return };
    let members = fleet.scale_out(2);
    let balancer = fleet.balancer(&members, &[]);
    let ids = balancer.ids("healthy");
    let clients = Clients::start(balancer.address);
    fleet.proxy.set_fault(no_instances());
    balancer.wait_for_refreshes("partial", 5);
    assert_eq!(balancer.ids("healthy"), ids);

    // Twice is not enough, whatever comes between.
    for fault in [Fault::None, Fault::Truncated] {
        let outcome = if matches!(fault, Fault::None) { "ok" } else { "malformed" };
        fleet.proxy.set_fault(Fault::None);
        balancer.wait_for_refreshes("ok", 1);
        fleet.proxy.set_fault(no_group());
        balancer.wait_for_refreshes("empty_doubted", 1);
        fleet.proxy.set_fault(fault);
        balancer.wait_for_refreshes(outcome, 1);
        assert_eq!(balancer.ids("healthy"), ids);
    }
    fleet.proxy.set_fault(Fault::None);
    balancer.wait_for_refreshes("ok", 1);
    drop(clients);

    let doubted = "discovery_refreshes_total{outcome=\"empty_doubted\"}";
    let before = balancer.metric(doubted);
    fleet.proxy.set_fault(no_group());
    wait_for_healthy(&balancer, &[]);
    assert!((balancer.metric(doubted) - before - 2.0).abs() < 0.5);
    fleet.proxy.set_fault(Fault::None);
    wait_for_healthy(&balancer, &members);
}
