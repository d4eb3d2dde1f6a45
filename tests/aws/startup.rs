//! A start while AWS does not answer as it should.

use crate::faults::{autoscaling_error, ec2_error};
use crate::fleet::Fleet;
use testkit::aws::proxy::Fault;
use testkit::balancer::Balancer;
use testkit::wait::wait_until;

/// It has no target, and says why.
#[track_caller]
fn expect_waiting(balancer: &Balancer, outcome: &str, told: &[&str]) {
    balancer.wait_for_log("no target is known until then");
    balancer.wait_for_refreshes(outcome, 1);
    for text in told {
        assert!(balancer.process.stderr().contains(text), "{text}: {}", balancer.process.stderr());
    }
    assert_eq!(balancer.readiness(), Some(503));
    assert_eq!(balancer.admin_get("/healthz").map(|answer| answer.status), Some(200));
}

#[track_caller]
fn expect_ready(balancer: &Balancer) {
    wait_until("it is ready", || balancer.readiness() == Some(200));
    balancer.get("/");
}

#[test]
fn unreachable() {
    let Some(mut fleet) = Fleet::start() else { return };
    fleet.scale_out(2);
    fleet.proxy.close();
    let balancer = fleet.spawn_balancer(&[]);
    let region = format!("AWS_REGION is right (in use: {})", fleet.account.region);
    expect_waiting(&balancer, "unreachable", &[&region, "AWS_ENDPOINT_URL"]);
    fleet.proxy.open();
    expect_ready(&balancer);
}

#[test]
fn without_permission() {
    let Some(mut fleet) = Fleet::start() else { return };
    fleet.scale_out(2);
    for (fault, action) in [
        (ec2_error(403, "UnauthorizedOperation"), "ec2:DescribeInstances"),
        (autoscaling_error(403, "AccessDenied"), "autoscaling:DescribeAutoScalingGroups"),
    ] {
        fleet.proxy.set_fault(fault);
        let balancer = fleet.spawn_balancer(&[]);
        expect_waiting(&balancer, "denied", &[&format!("allow {action} in the policy")]);
        fleet.proxy.set_fault(Fault::None);
        expect_ready(&balancer);
    }
}

#[test]
fn without_credentials() {
    let Some(fleet) = Fleet::start() else { return };
    let none = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    let balancer = fleet.spawn_balancer(&none);
    let told = ["no usable AWS credentials", "attach an IAM role", "AWS_ACCESS_KEY_ID"];
    expect_waiting(&balancer, "no_credentials", &told);
    assert_eq!(fleet.proxy.asked("DescribeAutoScalingGroups"), 0);
}
