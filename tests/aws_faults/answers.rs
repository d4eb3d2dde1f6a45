//! What AWS answers, when it does not what it should.

use std::fs;
use std::net::TcpListener;
use std::time::Instant;

use crate::BINARY;
use crate::fleet::{
    ADDRESSES, Fleet, IDS, asg_error, ec2_error, fixed, refreshes, wait_for_healthy,
};
use testkit::aws::api::Behaviour;
use testkit::http;
use testkit::process::end;
use testkit::wait::wait_until;

#[test]
fn whatever_goes_wrong_the_targets_stay_and_the_log_says_so_once() {
    let fleet = Fleet::start();
    let balancer = fleet.ready_balancer(&[]);
    let denied = "permission is missing for";
    for (behaviour, outcome, told) in [
        (ec2_error(503, "RequestLimitExceeded"), "throttled", "AWS throttles ec2:"),
        (asg_error(400, "Throttling"), "throttled", "AWS throttles autoscaling:"),
        (ec2_error(403, "UnauthorizedOperation"), "denied", denied),
        (asg_error(403, "AccessDenied"), "denied", denied),
        (asg_error(403, "ExpiredToken"), "no_credentials", "no usable AWS credentials"),
        (fixed(500, "<html><body>500</body></html>"), "server_error", "AWS has a problem"),
        (fixed(200, "<html><body>hello</body></html>"), "malformed", "no sense in the answer"),
        (fixed(200, ""), "malformed", "no sense in the answer"),
        (fixed(200, "<DescribeInstancesResponse/>"), "malformed", "no sense in the answer"),
        (Behaviour::Cut, "malformed", "no sense in the answer"),
        (Behaviour::Dropped, "malformed", "no sense in the answer"),
        (Behaviour::Hanging, "timeout", "no answer in time"),
    ] {
        let shown = format!("{behaviour:?}");
        let logged = balancer.process.stderr().len();
        fleet.aws.behave(behaviour);
        balancer.wait_for_refreshes(outcome, 2);
        assert_eq!(balancer.ids("healthy").len(), 4, "{shown}");
        fleet.aws.behave(Behaviour::Good);
        balancer.wait_for_refreshes("ok", 1);
        wait_until("its end is told", || {
            balancer.process.stderr()[logged..].contains("works again: 4 targets")
        });
        let log = balancer.process.stderr()[logged..].to_owned();
        // Once for each question: trouble may begin between the two of a refresh.
        let tellings = ["autoscaling:DescribeAutoScalingGroups: ", "ec2:DescribeInstances: "];
        let tellings = tellings.map(|question| {
            let told = log.lines().filter(|line| line.contains(told) && line.contains(question));
            told.count()
        });
        assert!(matches!(tellings, [1, 0 | 1] | [0, 1]), "{shown}: {log}");
        assert!(log.contains("the last good targets stay in use (4)"), "{shown}: {log}");
        let answer = http::get(balancer.address, "/").unwrap();
        assert_eq!(answer.status, 200, "{shown}");
    }
    assert_eq!(balancer.ids("draining").len(), 0);
}

#[test]
fn a_start_without_aws_waits_for_it_and_says_what_to_do() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let fleet = Fleet::start();
    for (behaviour, variables, outcome, told) in [
        (
            Behaviour::Good,
            vec![("AWS_ENDPOINT_URL", format!("http://{closed}"))],
            "unreachable",
            vec!["AWS_REGION is right (in use: eu-west-1)", "AWS_ENDPOINT_URL"],
        ),
        (
            Behaviour::Good,
            vec![("AWS_ACCESS_KEY_ID", String::new()), ("AWS_SECRET_ACCESS_KEY", String::new())],
            "no_credentials",
            vec!["no usable AWS credentials", "attach an IAM role", "AWS_ACCESS_KEY_ID"],
        ),
        (
            ec2_error(403, "UnauthorizedOperation"),
            vec![("AWS_REGION", "us-east-2".to_owned())],
            "denied",
            vec!["allow ec2:DescribeInstances in the policy", "EC2 says so"],
        ),
        (
            asg_error(403, "AccessDenied"),
            vec![],
            "denied",
            vec!["allow autoscaling:DescribeAutoScalingGroups in the policy", "ASG says so"],
        ),
        (Behaviour::Hanging, vec![], "timeout", vec!["no answer in time"]),
    ] {
        fleet.aws.behave(behaviour);
        let variables: Vec<_> = variables.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let balancer = fleet.balancer(&variables);
        balancer.wait_for_log("no target is known until then");
        balancer.wait_for_refreshes(outcome, 1);
        let log = balancer.process.stderr();
        let lines: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
        for part in told {
            assert!(lines.iter().any(|line| line.contains(part)), "{part}: {log}");
        }
        assert_eq!(log.matches("Meanwhile").count(), 1, "{log}");
        assert_eq!(balancer.admin_get("/readyz").unwrap().status, 503);
        assert_eq!(balancer.admin_get("/healthz").unwrap().status, 200);
        if matches!(outcome, "denied" | "timeout") {
            fleet.aws.behave(Behaviour::Good);
            balancer.wait_until_ready();
        }
    }
}

#[test]
fn credentials_that_are_written_later_are_found() {
    let fleet = Fleet::start();
    let path = std::env::temp_dir().join(format!("credentials-{}", std::process::id()));
    let balancer = fleet.balancer(&[
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_SHARED_CREDENTIALS_FILE", path.to_str().unwrap()),
    ]);
    balancer.wait_for_log("no usable AWS credentials");
    fs::write(&path, "[default]\naws_access_key_id = a\naws_secret_access_key = b\n").unwrap();
    wait_for_healthy(&balancer, IDS.len());
    fs::remove_file(path).unwrap();
}

#[test]
fn an_empty_or_shrunken_answer_is_believed_the_third_time() {
    let fleet = Fleet::start();
    let balancer = fleet.ready_balancer(&[("NODE_CHECK_PERIOD", "1s")]);
    for bad in [Behaviour::Empty, Behaviour::Good] {
        let outcome = if matches!(bad, Behaviour::Empty) { "empty" } else { "shrunk" };
        let outcome = format!("{outcome}_doubted");
        fleet.resize(1);
        fleet.aws.behave(bad);
        balancer.wait_for_refreshes(&outcome, 1);
        fleet.resize(4);
        fleet.aws.behave(Behaviour::Good);
        balancer.wait_for_refreshes("ok", 1);
        assert_eq!(balancer.ids("healthy").len(), 4);
    }
    // Within the limit once, beyond it three times.
    let doubted = refreshes(&balancer, "shrunk_doubted");
    fleet.resize(3);
    wait_for_healthy(&balancer, 3);
    assert!((refreshes(&balancer, "shrunk_doubted") - doubted).abs() < 0.5);
    fleet.resize(1);
    wait_for_healthy(&balancer, 1);
    assert!((refreshes(&balancer, "shrunk_doubted") - doubted - 2.0).abs() < 0.5);
    fleet.aws.behave(Behaviour::Empty);
    wait_for_healthy(&balancer, 0);
    balancer.wait_for_log("there is no target in region eu-west-1");
}

#[test]
fn all_pages_are_read_and_members_out_of_service_left_out() {
    let fleet = Fleet::start();
    fleet.aws.set_page(1);
    let balancer = fleet.ready_balancer(&[("NODE_FILTER", "tag")]);
    assert_eq!(fleet.aws.calls("DescribeAutoScalingGroups"), 0);
    assert!(fleet.aws.calls("DescribeInstances") >= 4);
    assert_eq!(balancer.ids("healthy"), IDS);
    drop(balancer);

    let balancer = fleet.ready_balancer(&[]);
    for lifecycle in ["Terminating:Wait", "Standby"] {
        fleet.aws.set_lifecycle("i-2", lifecycle);
        wait_for_healthy(&balancer, 3);
        fleet.aws.set_lifecycle("i-2", "InService");
        wait_for_healthy(&balancer, 4);
    }
}

#[test]
fn addresses_that_nothing_is_forwarded_to_are_refused_and_counted() {
    let fleet = Fleet::start();
    fleet.aws.set_instances(&[
        ("i-1", ADDRESSES[0]),
        ("i-2", "169.254.169.254"),
        ("i-3", "0.0.0.0"),
        ("i-4", ADDRESSES[0]),
    ]);
    let balancer = fleet.balancer(&[("NODE_FILTER", "tag")]);
    wait_for_healthy(&balancer, 1);
    balancer.wait_for_refreshes("ok", 3);
    for reason in ["link_local", "not_a_host", "duplicate_address"] {
        let series = format!("discovery_targets_ignored{{reason=\"{reason}\"}}");
        assert!((balancer.metric(&series) - 1.0).abs() < 0.5, "{reason}");
    }
    assert!((balancer.metric("discovery_targets_found") - 1.0).abs() < 0.5);
    let log = balancer.process.stderr();
    for id in ["i-2", "i-3", "i-4"] {
        assert_eq!(log.matches(&format!("instance {id} is no target")).count(), 1, "{log}");
    }

    let strict = fleet.balancer(&[("ALLOW_LOOPBACK_TARGETS", "false")]);
    strict.wait_for_log("instance i-1 is no target: its address is a loopback one");
    assert_eq!(strict.admin_get("/readyz").unwrap().status, 503);
}

#[test]
fn a_throttled_balancer_asks_less_often() {
    let fleet = Fleet::start();
    let balancer = fleet.ready_balancer(&[]);
    fleet.aws.behave(asg_error(400, "Throttling"));
    balancer.wait_for_refreshes("throttled", 3);
    // Eight periods lie between two refreshes now, that is at least 1.4 s.
    let started = Instant::now();
    balancer.wait_for_refreshes("throttled", 3);
    assert!(started.elapsed().as_millis() >= 2500, "{:?}", started.elapsed());
}

#[test]
fn an_aws_variable_that_is_set_to_nothing_counts_as_unset() {
    let fleet = Fleet::start();
    let balancer = fleet.ready_balancer(&[
        ("AWS_REGION", ""),
        ("AWS_DEFAULT_REGION", "us-east-2"),
        ("AWS_ENDPOINT_URL_EC2", ""),
        ("AWS_ENDPOINT_URL_AUTO_SCALING", ""),
        ("AWS_PROFILE", ""),
    ]);
    balancer.wait_for_log("in region us-east-2");
}

#[test]
fn what_an_organization_denies_is_not_for_the_roles_policy_to_mend() {
    let fleet = Fleet::start();
    let denied = "User: arn:aws:sts::1:assumed-role/lb/i-1 is not authorized to perform: \
        ec2:DescribeInstances with an explicit deny in a service control policy";
    let body = format!(
        "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>{denied}</Message>\
         </Error></Errors><RequestID>1</RequestID></Response>"
    );
    fleet.aws.behave(Behaviour::Fixed { action: Some("DescribeInstances"), status: 403, body });
    let balancer = fleet.balancer(&[]);
    balancer.wait_for_log("a service control policy of the organization forbids it");
    let log = balancer.process.stderr();
    assert!(!log.contains("allow ec2:DescribeInstances in the policy"), "{log}");
    let checked = end(BINARY.command().envs(fleet.aws.variables()).arg("check"));
    assert!(checked.stdout.contains("of the organization forbids it"), "{}", checked.stdout);
    assert!(!checked.stdout.contains("the IAM role has to allow"), "{}", checked.stdout);
}
