use control::discovery::{AwsSettings, Found, Mode, discover_once, iam_policy};
use exchange::Target;

use super::report::{Check, Report};

/// The targets that AWS knows of; `None` if that could not be found out, or there is no such group.
pub(super) async fn discover(settings: &AwsSettings, report: &mut Report) -> Option<Vec<Target>> {
    match discover_once(settings).await {
        Ok(found) => judge(found, &settings.mode, report),
        Err(fault) => {
            report.failure(Check::Discovery, None, fault.to_string());
            // Who has no credentials at all needs a role, and the role needs a policy.
            if fault.wants_policy {
                report.needs_policy(iam_policy(&settings.mode));
            }
            None
        }
    }
}

fn judge(found: Found, mode: &Mode, report: &mut Report) -> Option<Vec<Target>> {
    if !found.group_exists {
        let detail = format!("{mode}: there is no such group; check ASG_NAME and AWS_REGION");
        report.failure(Check::Discovery, None, detail);
        return None;
    }
    for ignored in &found.ignored {
        let subject = Some(ignored.id.clone());
        if ignored.reason.is_ordinary() {
            report.ok(Check::Discovery, subject, ignored.to_string());
        } else {
            report.warning(Check::Discovery, subject, ignored.to_string());
        }
    }
    for id in found.missing {
        let detail = format!("the group has instance {id} in service, but EC2 does not know it");
        report.warning(Check::Discovery, Some(id), detail);
    }
    Some(found.targets)
}
