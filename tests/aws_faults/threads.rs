//! On which threads AWS is asked.

use std::fs;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::fleet::{Fleet, ec2_error};
use testkit::aws::api::Behaviour;
use testkit::balancer::Balancer;
use testkit::wait::wait_until;

/// How the threads that ask AWS are scheduled: 0 like all others, 5 below everybody (sched(7); field
/// 41 of `stat`, proc(5)). One that is not needed any more may still be there for a moment.
fn scheduling(balancer: &Balancer) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{}/task", balancer.process.id())).unwrap();
    let stats = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("stat")).ok());
    let policy = |stat: String| {
        let after_name = stat.split_once(" (discovery) ")?.1;
        after_name.split(' ').nth(41 - 3).unwrap().parse().ok()
    };
    let mut policies: Vec<_> = stats.filter_map(policy).collect();
    policies.sort_unstable();
    policies
}

/// How AWS is asked: below everybody as long as there is a thread for that beside the other.
const BELOW: [u32; 2] = [0, 5];
const AS_ALL_ELSE: [u32; 1] = [0];

#[track_caller]
fn wait_for(balancer: &Balancer, standing: &[u32]) {
    wait_until(&format!("AWS is asked by {standing:?}"), || scheduling(balancer) == standing);
}

#[test]
fn aws_is_asked_below_everybody_unless_that_has_just_failed() {
    let fleet = Fleet::start();
    let balancer = fleet.ready_balancer(&[]);
    wait_for(&balancer, &BELOW);
    fleet.aws.behave(Behaviour::Hanging);
    wait_for(&balancer, &AS_ALL_ELSE);
    fleet.aws.behave(Behaviour::Good);
    balancer.wait_for_refreshes("ok", 2);
    assert_eq!(scheduling(&balancer), AS_ALL_ELSE);
}

/// What a thread needs is not to be had: descriptors, here. Everything goes on with the one that has
/// been there from the start, and as before when they are back.
#[test]
fn aws_is_asked_by_the_thread_that_there_is_where_none_can_be_started() {
    let fleet = Fleet::start();
    let all = getrlimit(Resource::Nofile);
    let none = Rlimit { current: Some(3), maximum: all.maximum };
    let balancer = fleet.ready_balancer(&[]);
    wait_for(&balancer, &BELOW);
    // Answered, so that both of its connections can be used again.
    fleet.aws.behave(ec2_error(403, "UnauthorizedOperation"));
    wait_for(&balancer, &AS_ALL_ELSE);
    let asked = fleet.aws.calls("DescribeInstances");
    let asked_since = || fleet.aws.calls("DescribeInstances") - asked;
    wait_until("AWS is asked by the other thread", || asked_since() >= 2);
    let pid = Pid::from_raw(balancer.process.id().try_into().unwrap());
    prlimit(pid, Resource::Nofile, none).unwrap();
    fleet.aws.behave(Behaviour::Good);
    balancer.wait_for_log("discovery works again: 4 targets");
    balancer.wait_for_log("like all else is done, without a thread below: Too many open files");
    let asked_so_far = asked_since();
    wait_until("AWS goes on being asked", || asked_since() > asked_so_far + 2);
    assert_eq!(scheduling(&balancer), AS_ALL_ELSE);
    prlimit(pid, Resource::Nofile, all).unwrap();
    wait_for(&balancer, &BELOW);
    assert_eq!(balancer.ids("healthy").len(), 4);
    assert_eq!(balancer.process.stderr().matches("without a thread").count(), 1);
}
