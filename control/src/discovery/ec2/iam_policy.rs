use serde_json::{Value, json};

use crate::discovery::ec2::fault::{DESCRIBE_GROUPS, DESCRIBE_INSTANCES};
use crate::discovery::ec2::mode::Mode;

/// The least that the balancer's IAM role has to allow, as a policy document. Neither action knows
/// permissions on single resources (Service Authorization Reference, EC2 and EC2 Auto Scaling).
pub fn iam_policy(mode: &Mode) -> Value {
    let actions: &[&str] = match mode {
        Mode::Asg { .. } => &[DESCRIBE_GROUPS, DESCRIBE_INSTANCES],
        Mode::Tag { .. } => &[DESCRIBE_INSTANCES],
    };
    json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_needs_what_it_calls() {
        let actions = |mode: Mode| iam_policy(&mode)["Statement"][0]["Action"].to_string();
        let tag = Mode::Tag { name: "Name".to_owned(), value: "worker-node".to_owned() };
        assert_eq!(actions(tag), r#"["ec2:DescribeInstances"]"#);
        assert_eq!(
            actions(Mode::Asg { name: "worker-nodes".to_owned() }),
            r#"["autoscaling:DescribeAutoScalingGroups","ec2:DescribeInstances"]"#
        );
    }
}
