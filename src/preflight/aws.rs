use control::discovery::{AwsSettings, Found, Mode, discover_once, iam_policy};
use exchange::Target;

use super::findings::{Check, Findings};

/// The targets that AWS knows of; `None` if that could not be found out, or there is no such group.
pub(super) async fn discover(
    settings: &AwsSettings,
    findings: &mut Findings,
) -> Option<Vec<Target>> {
    match discover_once(settings).await {
        Ok(found) => note_found(found, &settings.mode, findings),
        Err(fault) => {
            findings.failure(Check::Discovery, None, fault.to_string());
            // Who has no credentials at all needs a role, and the role needs a policy.
            if fault.wants_policy {
                findings.needs_policy(iam_policy(&settings.mode));
            }
            None
        }
    }
}

fn note_found(found: Found, mode: &Mode, findings: &mut Findings) -> Option<Vec<Target>> {
    if !found.group_exists {
        let detail = format!("{mode}: there is no such group; check ASG_NAME and AWS_REGION");
        findings.failure(Check::Discovery, None, detail);
        return None;
    }
    for ignored in &found.ignored {
        let subject = Some(ignored.id.clone());
        if ignored.reason.is_ordinary() {
            findings.ok(Check::Discovery, subject, ignored.to_string());
        } else {
            findings.warning(Check::Discovery, subject, ignored.to_string());
        }
    }
    for id in found.missing {
        let detail = format!("the group has instance {id} in service, but EC2 does not know it");
        findings.warning(Check::Discovery, Some(id), detail);
    }
    Some(found.targets)
}
