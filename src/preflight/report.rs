use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;

use super::findings::{Finding, Findings, Status};

/// The report as programs read it.
#[derive(Serialize)]
struct View<'a> {
    version: &'static str,
    would_serve: bool,
    failures: usize,
    warnings: usize,
    checks: &'a [Finding],
    iam_policy: Option<&'a Value>,
}

/// For people: a line for each finding, with columns, and the verdict.
pub(super) fn table(findings: &Findings) -> String {
    let rows: Vec<_> = findings.list.iter().map(|finding| (finding, what(finding))).collect();
    let width = rows.iter().map(|(_, what)| what.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    // Writing to a String cannot fail.
    for (finding, what) in &rows {
        let _ = writeln!(text, "{:4}  {what:width$}  {}", finding.status.word(), finding.detail);
    }
    if let Some(policy) = &findings.iam_policy {
        let _ = writeln!(text, "\nThe least that the IAM role has to allow:\n\n{policy:#}");
    }
    let verdict = if findings.would_serve() { "would serve" } else { "would not serve" };
    let (failures, warnings) = (findings.count(Status::Failure), findings.count(Status::Warning));
    let _ = writeln!(
        text,
        "\n{verdict}: {}, {}",
        counted(failures, "failure"),
        counted(warnings, "warning")
    );
    text
}

/// For programs: one JSON object.
pub(super) fn json(findings: &Findings) -> String {
    let view = View {
        version: env!("CARGO_PKG_VERSION"),
        would_serve: findings.would_serve(),
        failures: findings.count(Status::Failure),
        warnings: findings.count(Status::Warning),
        checks: &findings.list,
        iam_policy: findings.iam_policy.as_ref(),
    };
    let json = serde_json::to_string_pretty(&view).expect("texts and numbers fit into JSON");
    json + "\n"
}

fn what(finding: &Finding) -> String {
    match &finding.subject {
        Some(subject) => format!("{} {subject}", finding.check.title()),
        None => finding.check.title().to_owned(),
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::findings::Check;

    fn report() -> Findings {
        let mut report = Findings::default();
        report.ok(Check::Kernel, None, "6.1.0".to_owned());
        report.warning(Check::Target, Some("10.0.0.1:80".to_owned()), "refused".to_owned());
        report
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(
            table(&report()),
            "ok    kernel              6.1.0\n\
             warn  target 10.0.0.1:80  refused\n\
             \n\
             would serve: 0 failures, 1 warning\n"
        );
    }

    #[test]
    fn a_failure_decides_and_a_policy_follows_the_table() {
        let mut report = report();
        assert!(report.would_serve());
        report.failure(Check::Discovery, None, "denied".to_owned());
        report.needs_policy(serde_json::json!({"Version": "2012-10-17"}));
        assert!(!report.would_serve());
        let text = table(&report);
        assert!(text.contains("\nFAIL  discovery"), "{text}");
        assert!(text.contains("{\n  \"Version\": \"2012-10-17\"\n}"), "{text}");
        assert!(text.ends_with("\nwould not serve: 1 failure, 1 warning\n"), "{text}");
        let value: Value = serde_json::from_str(&json(&report)).unwrap();
        assert_eq!(value["iam_policy"]["Version"], "2012-10-17");
        assert_eq!(value["would_serve"], false);
    }

    #[test]
    fn names_in_json_are_stable() {
        let value: Value = serde_json::from_str(&json(&report())).unwrap();
        let target = serde_json::json!({
            "check": "target", "subject": "10.0.0.1:80", "status": "warning", "detail": "refused",
        });
        assert_eq!(value["checks"][1], target);
        assert_eq!(serde_json::to_value(Check::IoUring).unwrap(), "io_uring");
        assert_eq!(serde_json::to_value(Check::ClientPort).unwrap(), "client_port");
        assert_eq!(serde_json::to_value(Status::Failure).unwrap(), "failure");
    }
}
