/// A kind of policy that AWS names where it denies something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Denial<'a> {
    /// Such as `service control policy`; none where it does not say.
    policy: Option<&'a str>,
    /// Whether the policy forbids it, rather than not allowing it.
    is_explicit: bool,
}

/// What mends a denial of `action` that AWS explains by `message`; none where it is the role's policy
/// that has to allow it, or where AWS gives no explanation.
///
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>
pub(super) fn remedy(message: &str, action: &str) -> Option<String> {
    let Denial { policy, is_explicit } = Denial::of(message)?;
    let is_organizations = |policy: &str| policy.contains("control policy");
    let remedy = match (policy, is_explicit) {
        (Some("identity-based policy"), false) => return None,
        (Some(policy), _) if is_organizations(policy) => {
            let does = if is_explicit { "forbids" } else { "does not allow" };
            format!(
                "a {policy} of the organization {does} it, whatever the role is allowed: its \
                 administrators have to allow {action}"
            )
        }
        (Some(policy), true) => format!(
            "a statement of the {policy} forbids it, whatever else allows it: take that away"
        ),
        (Some(policy), false) => {
            format!("allow {action} in the {policy}, too: the role's own policy is not enough")
        }
        (None, _) => format!(
            "some policy forbids it, whatever else allows it: look for a Deny of {action} in those \
             of the role, its permissions boundary, the organization and the VPC endpoint"
        ),
    };
    Some(remedy)
}

impl<'a> Denial<'a> {
    fn of(message: &'a str) -> Option<Self> {
        if let Some((_, after)) = message.split_once("explicit deny") {
            let named = after.strip_prefix(" in a ").or_else(|| after.strip_prefix(" in an "));
            let policy = named.map(|text| {
                let end = text.find(|c: char| !(c.is_alphanumeric() || c == ' ' || c == '-'));
                text[..end.unwrap_or(text.len())].trim_end()
            });
            return Some(Self { policy, is_explicit: true });
        }
        let (_, after) = message.split_once("because no ")?;
        let (policy, _) = after.split_once(" allows")?;
        Some(Self { policy: Some(policy), is_explicit: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy_of(end: &str) -> Option<String> {
        let start = "User: arn:aws:sts::1:assumed-role/lb/i-1 is not authorized to perform: \
            ec2:DescribeInstances";
        remedy(&format!("{start} {end}"), "ec2:DescribeInstances")
    }

    #[test]
    fn what_the_roles_policy_does_not_mend_is_told_apart() {
        for (end, part) in [
            (
                "with an explicit deny in a service control policy",
                "a service control policy of the",
            ),
            (
                "with an explicit deny in a service control policy: arn:aws:x",
                "organization forbids",
            ),
            ("because no service control policy allows the ec2:X action", "does not allow it"),
            ("with an explicit deny in a resource control policy.", "a resource control policy of"),
            (
                "with an explicit deny in an identity-based policy",
                "of the identity-based policy for",
            ),
            (
                "with an explicit deny in a permissions boundary",
                "of the permissions boundary forbids",
            ),
            (
                "because no VPC endpoint policy allows the x action",
                "in the VPC endpoint policy, too",
            ),
            ("because no permissions boundary allows the x", "in the permissions boundary, too"),
            ("with an explicit deny", "some policy forbids it"),
        ] {
            let remedy = remedy_of(end).unwrap_or_else(|| panic!("{end}"));
            assert!(remedy.contains(part), "{end}: {remedy}");
        }
    }

    #[test]
    fn all_else_is_for_the_roles_policy() {
        for end in ["", "because no identity-based policy allows the x action", "because no reason"]
        {
            assert_eq!(remedy_of(end), None, "{end}");
        }
    }
}
