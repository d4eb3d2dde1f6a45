//! Discovery in AWS on bad days, black box: a server that speaks the two APIs and misbehaves. What
//! was known stays known, the log says once what is wrong, metrics count it.
#![cfg(feature = "aws")]
#![allow(clippy::unwrap_used, reason = "test code outside test functions")]

mod support;

use std::fs;
use std::net::TcpListener;
use std::time::Instant;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use support::aws::{Aws, Behaviour};
use support::backend::Backend;
use support::balancer::Balancer;
use support::port::Port;
use support::{http, wait_until};

const ADDRESSES: [&str; 4] = ["127.0.1.11", "127.0.1.12", "127.0.1.13", "127.0.1.14"];
const IDS: [&str; 4] = ["i-1", "i-2", "i-3", "i-4"];

/// Four instances with a server each, one of them on every address, and their port.
struct Fleet {
    aws: Aws,
    port: Port,
    _backends: Vec<Backend>,
}

impl Fleet {
    fn start() -> Self {
        let (aws, port) = (Aws::start(), Port::free());
        let backend = |address: &&str| {
            Backend::start_at(format!("{address}:{}", port.number()).parse().unwrap(), address)
        };
        let backends = ADDRESSES.iter().map(backend).collect();
        let fleet = Self { aws, port, _backends: backends };
        fleet.resize(4);
        fleet
    }

    /// The first `count` instances are there.
    fn resize(&self, count: usize) {
        let all: Vec<_> = IDS.into_iter().zip(ADDRESSES).take(count).collect();
        self.aws.set_instances(&all);
    }

    /// A balancer before it; `variables` go over what it needs.
    fn balancer(&self, variables: &[(&str, &str)]) -> Balancer {
        let port = self.port.text();
        let aws = self.aws.variables();
        let mut all: Vec<_> = aws.iter().map(|(name, value)| (*name, value.as_str())).collect();
        all.push(("TARGET_PORT", &port));
        all.extend(variables);
        Balancer::spawn(&[], &all)
    }

    fn ready_balancer(&self, variables: &[(&str, &str)]) -> Balancer {
        let balancer = self.balancer(variables);
        wait_for_healthy(&balancer, IDS.len());
        balancer
    }
}

/// The ids of the targets in this state.
fn targets(balancer: &Balancer, state: &str) -> Vec<String> {
    let Some(answer) = balancer.get("/targets") else { return Vec::new() };
    let view: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let targets = view["targets"].as_array().unwrap().iter();
    let targets = targets.filter(|target| target["state"] == state);
    targets.map(|target| target["id"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn wait_for_healthy(balancer: &Balancer, count: usize) {
    wait_until(&format!("{count} targets are healthy"), || {
        targets(balancer, "healthy").len() == count
    });
}

fn refreshes(balancer: &Balancer, outcome: &str) -> f64 {
    balancer.metric(&format!("discovery_refreshes_total{{outcome=\"{outcome}\"}}"))
}

/// Waits for `count` more refreshes that end like this.
#[track_caller]
fn wait_for_refreshes(balancer: &Balancer, outcome: &str, count: f64) {
    let before = refreshes(balancer, outcome);
    wait_until(&format!("{count} more refreshes end as {outcome}"), || {
        refreshes(balancer, outcome) >= before + count
    });
}

fn fixed(status: u16, body: impl Into<String>) -> Behaviour {
    Behaviour::Fixed { action: None, status, body: body.into() }
}

/// An error as EC2 says it.
fn ec2_error(status: u16, code: &str) -> Behaviour {
    let body = format!(
        "<?xml version=\"1.0\"?><Response><Errors><Error><Code>{code}</Code><Message>EC2 says so\
         </Message></Error></Errors><RequestID>1</RequestID></Response>"
    );
    Behaviour::Fixed { action: Some("DescribeInstances"), status, body }
}

/// An error as Auto Scaling says it.
fn asg_error(status: u16, code: &str) -> Behaviour {
    let body = format!(
        "<ErrorResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\"><Error>\
         <Type>Sender</Type><Code>{code}</Code><Message>ASG says so</Message></Error>\
         <RequestId>1</RequestId></ErrorResponse>"
    );
    Behaviour::Fixed { action: Some("DescribeAutoScalingGroups"), status, body }
}

/// How the threads that ask AWS are scheduled: 0 like all others, 5 below everybody (sched(7); field
/// 41 of `stat`, proc(5)). One that is not needed any more may still be there for a moment.
fn scheduling(balancer: &Balancer) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{}/task", balancer.process.id())).unwrap();
    let stats = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("stat")).ok());
    let policy = |stat: String| {
        let after_name = stat.split_once(" (discovery) ")?.1;
        after_name.split(' ').nth(41 - 3).unwrap().parse().ok()
    };
    stats.filter_map(policy).collect()
}

#[test]
fn aws_is_asked_below_everybody_unless_that_has_just_failed() {
    let fleet = Fleet::start();
    let balancer = fleet.ready_balancer(&[]);
    wait_until("AWS is asked below everybody", || scheduling(&balancer) == [5]);
    fleet.aws.behave(Behaviour::Hanging);
    wait_until("AWS is asked as all else is done", || scheduling(&balancer) == [0]);
    fleet.aws.behave(Behaviour::Good);
    wait_for_refreshes(&balancer, "ok", 2.0);
    assert_eq!(scheduling(&balancer), [0]);
}

/// What a thread needs is not to be had: descriptors, here. Everything goes on, and as before when
/// they are back.
#[test]
fn aws_is_asked_without_a_thread_where_none_can_be_started() {
    let fleet = Fleet::start();
    let all = getrlimit(Resource::Nofile);
    let none = Rlimit { current: Some(3), maximum: all.maximum };
    let (balancer, pid) = loop {
        let balancer = fleet.ready_balancer(&[]);
        wait_until("AWS is asked below everybody", || scheduling(&balancer) == [5]);
        let pid = Pid::from_raw(balancer.process.id().try_into().unwrap());
        prlimit(pid, Resource::Nofile, none).unwrap();
        // On a machine that is busy it may have got a thread of ordinary priority meanwhile.
        if scheduling(&balancer) == [5] {
            break (balancer, pid);
        }
    };
    fleet.aws.behave(Behaviour::Hanging);
    balancer
        .wait_for_log("AWS is asked beside health checks, without a thread: Too many open files");
    fleet.aws.behave(Behaviour::Good);
    prlimit(pid, Resource::Nofile, all).unwrap();
    wait_for_refreshes(&balancer, "ok", 2.0);
    assert_eq!(targets(&balancer, "healthy").len(), 4);
    assert_eq!(balancer.process.stderr().matches("without a thread").count(), 1);
}

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
        wait_for_refreshes(&balancer, outcome, 2.0);
        assert_eq!(targets(&balancer, "healthy").len(), 4, "{shown}");
        fleet.aws.behave(Behaviour::Good);
        wait_for_refreshes(&balancer, "ok", 1.0);
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
        let answer = http::get(balancer.address(), "/").unwrap();
        assert_eq!(answer.status, 200, "{shown}");
    }
    assert_eq!(targets(&balancer, "draining").len(), 0);
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
        wait_for_refreshes(&balancer, outcome, 1.0);
        let log = balancer.process.stderr();
        let lines: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
        for part in told {
            assert!(lines.iter().any(|line| line.contains(part)), "{part}: {log}");
        }
        assert_eq!(log.matches("Meanwhile").count(), 1, "{log}");
        assert_eq!(balancer.get("/readyz").unwrap().status, 503);
        assert_eq!(balancer.get("/healthz").unwrap().status, 200);
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
        wait_for_refreshes(&balancer, &outcome, 1.0);
        fleet.resize(4);
        fleet.aws.behave(Behaviour::Good);
        wait_for_refreshes(&balancer, "ok", 1.0);
        assert_eq!(targets(&balancer, "healthy").len(), 4);
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
    assert_eq!(targets(&balancer, "healthy"), IDS);
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
    wait_for_refreshes(&balancer, "ok", 3.0);
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
    assert_eq!(strict.get("/readyz").unwrap().status, 503);
}

#[test]
fn a_throttled_balancer_asks_less_often() {
    let fleet = Fleet::start();
    let balancer = fleet.ready_balancer(&[]);
    fleet.aws.behave(asg_error(400, "Throttling"));
    wait_for_refreshes(&balancer, "throttled", 3.0);
    // Eight periods lie between two refreshes now, that is at least 1.4 s.
    let started = Instant::now();
    wait_for_refreshes(&balancer, "throttled", 3.0);
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
