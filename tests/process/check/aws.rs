//! Targets from AWS.

use super::*;
use testkit::aws::api::{Aws, Behaviour};

/// What the check says of a group, whose instances have servers on `port`.
fn check(aws: &Aws, port: &str, variables: &[(&str, &str)]) -> Ended {
    let all = aws.variables();
    let mut all: Vec<_> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
    all.extend([("TARGET_PORT", port), ("NODE_CHECK_PERIOD", "2s")]);
    all.extend(variables);
    Setup::of(&[]).check(&[], &all)
}

#[test]
fn the_members_of_a_group_are_checked() {
    let (aws, backend) = (Aws::start(), Backend::named("backend"));
    let address = backend.address.ip().to_string();
    aws.set_instances(&[("i-1", &address), ("i-2", "169.254.0.1"), ("i-3", "127.0.0.3")]);
    aws.set_lifecycle("i-3", "Standby");
    let ended = check(&aws, &backend.address.port().to_string(), &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    row(&ended, "ok", "discovery  ");
    assert!(row(&ended, "warn", "discovery i-2").contains("link-local"), "{ended:?}");
    assert!(row(&ended, "ok", "discovery i-3").contains("not in service"), "{ended:?}");
    let target = row(&ended, "ok", &format!("target {}", backend.address));
    assert!(target.contains("i-1: answered in"), "{target}");
    assert!(!ended.stdout.contains("Version"), "{}", ended.stdout);
}

#[test]
fn a_missing_permission_comes_with_the_policy() {
    let aws = Aws::start();
    let body = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>No.\
                </Message></Error></Errors><RequestID>1</RequestID></Response>";
    aws.behave(Behaviour::Fixed {
        action: Some("DescribeInstances"),
        status: 403,
        body: body.to_owned(),
    });
    let describe = "ec2:DescribeInstances";
    let group = "autoscaling:DescribeAutoScalingGroups";
    aws.set_instances(&[("i-1", "127.0.0.1")]);
    for (filter, actions) in [("tag", &[describe][..]), ("asg", &[group, describe])] {
        let ended = check(&aws, "1", &[("NODE_FILTER", filter)]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let discovery = row(&ended, "FAIL", "discovery");
        assert!(discovery.contains("permission is missing for ec2:Describe"), "{discovery}");
        let start = ended.stdout.find("\n{").expect("a policy");
        let end = ended.stdout.rfind("}\n").expect("its end");
        let policy: Value = serde_json::from_str(&ended.stdout[start..=end]).expect("JSON");
        let statement = &policy["Statement"][0];
        assert_eq!(statement["Action"], serde_json::json!(actions), "{policy}");
        assert_eq!(statement["Effect"], "Allow", "{policy}");
    }
}

#[test]
fn aws_that_does_not_answer_is_a_failure() {
    let nobody = Port::free();
    let endpoint = format!("http://{}", nobody.local());
    let ended = check(&Aws::start(), "1", &[("AWS_ENDPOINT_URL", &endpoint)]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(row(&ended, "FAIL", "discovery").contains("AWS_ENDPOINT_URL"), "{ended:?}");
}
