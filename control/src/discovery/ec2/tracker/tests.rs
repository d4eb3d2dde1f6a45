use exchange::TargetId;

use super::*;
use crate::discovery::confirmed_targets::{CONFIRMATIONS, Verdict};
use crate::discovery::ec2::fault::FaultKind;
use crate::discovery::ec2::fault::{DESCRIBE_GROUPS, DESCRIBE_INSTANCES};
use crate::discovery::ec2::poll::filter::{Ignored, Reason};
use crate::discovery::ec2::poll::tests::settings;

fn found(count: u8) -> Found {
    let target = |n: u8| Target {
        id: TargetId::new(&format!("i-{n}")),
        ..Target::at(([10, 0, 0, n], 30080).into())
    };
    Found { targets: (1..=count).map(target).collect(), group_exists: true, ..Found::default() }
}

fn fault(kind: FaultKind) -> Fault {
    Fault::new(kind, DESCRIBE_INSTANCES, "reason".to_owned(), &settings("asg"))
}

/// Follows, and gives the number of targets (none where the last ones stay) and the lines.
fn follow(tracker: &mut Tracker, refreshed: Result<Found, Fault>) -> (Option<usize>, String) {
    let progress = tracker.follow(refreshed);
    let lines = progress.lines.into_iter().map(|(level, line)| format!("{level} {line}\n"));
    (progress.targets.map(|targets| targets.len()), lines.collect())
}

fn tracker() -> Tracker {
    Tracker::new(&settings("asg"))
}

#[test]
fn a_fault_keeps_the_targets_and_is_told_once() {
    let mut tracker = tracker();
    assert_eq!(follow(&mut tracker, Ok(found(3))), (Some(3), String::new()));
    let (targets, lines) = follow(&mut tracker, Err(fault(FaultKind::Timeout)));
    assert_eq!(targets, None);
    assert!(lines.contains("no answer in time to ec2:DescribeInstances: reason"), "{lines}");
    assert!(lines.contains("the last good targets stay in use (3)"), "{lines}");
    let (_, lines) = follow(&mut tracker, Err(fault(FaultKind::Unreachable)));
    assert!(lines.contains("cannot be reached"), "{lines}");
    for kind in [FaultKind::Timeout, FaultKind::Unreachable, FaultKind::Timeout] {
        assert_eq!(follow(&mut tracker, Err(fault(kind))), (None, String::new()));
    }
    let again = "INFO discovery works again: 3 targets\n".to_owned();
    assert_eq!(follow(&mut tracker, Ok(found(3))), (Some(3), again));
    assert_eq!(follow(&mut tracker, Ok(found(3))), (Some(3), String::new()));
    assert!(!follow(&mut tracker, Err(fault(FaultKind::Timeout))).1.is_empty());
}

#[test]
fn a_start_without_aws_says_what_to_do() {
    for (kind, remedy) in [
        (FaultKind::NoCredentials, "attach an IAM role"),
        (FaultKind::Denied, "allow ec2:DescribeInstances in the policy"),
        (FaultKind::Unreachable, "AWS_REGION is right (in use: eu-west-1)"),
        (FaultKind::Timeout, "AWS_ENDPOINT_URL"),
    ] {
        let mut tracker = tracker();
        let (targets, lines) = follow(&mut tracker, Err(fault(kind)));
        assert_eq!(targets, None);
        assert!(lines.contains(remedy) && lines.contains("tried again every 10s"), "{lines}");
        assert_eq!(lines.lines().count(), 1);
        assert_eq!(follow(&mut tracker, Ok(found(1))).0, Some(1));
    }
}

#[test]
fn each_missing_permission_is_told() {
    let mut tracker = tracker();
    let denied =
        |action| Err(Fault::new(FaultKind::Denied, action, "reason".to_owned(), &settings("asg")));
    for action in [DESCRIBE_GROUPS, DESCRIBE_INSTANCES] {
        assert!(follow(&mut tracker, denied(action)).1.contains(&format!("allow {action}")));
        assert_eq!(follow(&mut tracker, denied(action)).1, "");
    }
}

#[test]
fn a_part_of_an_answer_does_not_say_that_there_is_no_target() {
    let [mut tracker, mut other] = [tracker(), tracker()];
    let part = |count| Ok(Found { missing: vec!["i-9".to_owned()], ..found(count) });
    assert_eq!(follow(&mut tracker, part(0)).0, None);
    assert_eq!(follow(&mut tracker, part(1)).0, Some(1));
    let mut replaced = part(0).unwrap();
    let reason = Reason::NotInService;
    replaced.ignored.push(Ignored { id: "i-1".into(), reason, address: None });
    assert_eq!(follow(&mut tracker, Ok(replaced)).0, Some(0), "it has left");
    assert_eq!(follow(&mut tracker, part(0)).0, None);
    assert_eq!(follow(&mut other, Ok(found(0))).0, Some(0));
}

#[test]
fn a_doubt_is_told_once() {
    let mut tracker = tracker();
    follow(&mut tracker, Ok(found(4)));
    let (targets, lines) = follow(&mut tracker, Ok(found(1)));
    assert_eq!(targets, Some(4));
    assert!(lines.contains("1 targets only") && lines.contains("50 %"), "{lines}");
    let (targets, lines) = follow(&mut tracker, Ok(found(0)));
    assert_eq!(targets, Some(4));
    assert!(lines.contains("no target any more"), "{lines}");
    for _ in 2..CONFIRMATIONS {
        let progress = tracker.follow(Ok(found(0)));
        assert_eq!(progress.outcome, RefreshOutcome::Answered(Verdict::EmptyDoubted));
        assert!(progress.lines.is_empty());
    }
    let (targets, lines) = follow(&mut tracker, Ok(found(0)));
    assert_eq!(targets, Some(0));
    assert!(lines.contains("there is no target in region eu-west-1"), "{lines}");
    assert_eq!(follow(&mut tracker, Ok(found(0))).1, "");
    assert!(follow(&mut tracker, Ok(found(2))).1.contains("works again: 2 targets"));
}

#[test]
fn one_that_ec2_does_not_know_stays_and_stops_nothing_else() {
    let mut tracker = tracker();
    let targets = |progress: Progress| {
        let targets = progress.targets.unwrap();
        targets.iter().map(|target| target.id.to_string()).collect::<Vec<_>>().join(" ")
    };
    follow(&mut tracker, Ok(found(4)));
    let missing = |missing: &str| Found { missing: vec![missing.to_owned()], ..found(4) };
    let progress = tracker.follow(Ok(missing("i-9")));
    assert_eq!(progress.outcome.label(), "partial");
    assert!(
        progress.lines[0].1.contains("does not know 1 members that the group has in service (i-9")
    );
    assert_eq!(targets(progress), "i-1 i-2 i-3 i-4");
    // One is in standby, one is gone, and one is not known any more.
    let mut partial = missing("i-1");
    partial.targets.retain(|target| target.id.as_str() == "i-2");
    let ignored = Ignored { id: "i-3".to_owned(), reason: Reason::NotInService, address: None };
    partial.ignored.push(ignored);
    assert_eq!(targets(tracker.follow(Ok(partial))), "i-1 i-2");
}

#[test]
fn what_aws_states_needs_no_confirmation() {
    let mut tracker = tracker();
    follow(&mut tracker, Ok(found(1)));
    // A group of one: the old one ends, the new one is in service.
    let mut replaced = found(2);
    replaced.targets.remove(0);
    let reason = Reason::NotInService;
    replaced.ignored.push(Ignored { id: "i-1".to_owned(), reason, address: None });
    let progress = tracker.follow(Ok(replaced));
    assert_eq!(progress.outcome.label(), "ok");
    assert_eq!(progress.targets.unwrap()[0].id.as_str(), "i-2");
}

#[test]
fn two_faults_of_one_kind_are_told_each() {
    let mut tracker = tracker();
    let refused = || fault(FaultKind::Other);
    let unsent = || Fault::unsent(DESCRIBE_INSTANCES, "reason".to_owned(), &settings("asg"));
    assert!(follow(&mut tracker, Err(refused())).1.contains("AWS refuses ec2:DescribeInstances"));
    assert!(follow(&mut tracker, Err(unsent())).1.contains("the request never left this machine"));
    for fault in [refused(), unsent()] {
        assert_eq!(follow(&mut tracker, Err(fault)).1, "");
    }
}

#[test]
fn slow_answers_are_told_from_none() {
    let told = |period, is_answered| {
        let settings = AwsSettings { period, ..settings("asg") };
        let limit = std::time::Duration::from_secs(4);
        Fault::too_late(is_answered, limit, &settings).to_string()
    };
    let (short, long) = (std::time::Duration::from_secs(10), std::time::Duration::from_mins(5));
    let slow = told(short, true);
    assert!(slow.contains("answered too slowly (limit 4s): raise NODE_CHECK_PERIOD"), "{slow}");
    assert!(!told(long, true).contains("NODE_CHECK_PERIOD"));
    let none = told(short, false);
    assert!(none.contains("nothing has come within 4s; check that AWS_REGION"), "{none}");
}

#[test]
fn a_proxy_is_named_where_aws_is_out_of_reach() {
    let proxies = ["HTTPS_PROXY", "https_proxy", "NO_PROXY"].map(str::to_owned);
    let told = |kind, proxies: &[String]| {
        let settings = AwsSettings { proxies: proxies.to_vec(), ..settings("asg") };
        Fault::new(kind, DESCRIBE_INSTANCES, "reason".to_owned(), &settings).to_string()
    };
    for kind in [FaultKind::Unreachable, FaultKind::Timeout, FaultKind::Malformed] {
        let line = told(kind, &proxies);
        assert!(line.contains("; HTTPS_PROXY, https_proxy and NO_PROXY are set: check"), "{line}");
        assert!(told(kind, &proxies[..1]).contains("; HTTPS_PROXY is set: check"));
        assert!(!told(kind, &[]).contains("_PROXY"));
    }
}

#[test]
fn a_group_that_is_not_there_is_named() {
    let (targets, lines) =
        follow(&mut tracker(), Ok(Found { group_exists: false, ..Found::default() }));
    assert_eq!(targets, Some(0));
    assert!(lines.contains("check ASG_NAME and AWS_REGION"), "{lines}");
    assert!(lines.contains("the members of the Auto Scaling Group \"group\""), "{lines}");
}

#[test]
fn ignored_instances_are_counted_and_those_to_be_mended_told_once() {
    let mut tracker = tracker();
    let ignored = |id: &str, reason| Ignored { id: id.to_owned(), reason, address: None };
    let with = |list: &[Ignored]| Ok(Found { ignored: list.to_vec(), ..found(1) });
    let standby = ignored("i-8", Reason::NotInService);
    let bare = ignored("i-9", Reason::NoPrivateAddress);

    let progress = tracker.follow(with(&[standby.clone(), bare.clone()]));
    let counts = progress.counts.unwrap();
    assert_eq!(counts.found, 1);
    assert_eq!(
        counts.ignored.into_iter().collect::<Vec<_>>(),
        [("no_private_address", 1), ("not_in_service", 1)]
    );
    assert_eq!(progress.lines.len(), 1);
    assert!(progress.lines[0].1.contains("i-9 is no target: it has no private"));

    let both = [standby, bare.clone()];
    assert_eq!(follow(&mut tracker, with(&both)).1, "");
    assert_eq!(follow(&mut tracker, with(&[])).1, "");
    assert!(follow(&mut tracker, with(&[bare])).1.contains("i-9"));
}
