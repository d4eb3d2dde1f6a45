use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;

/// What was checked. The names in JSON are those of the variants in snake case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Check {
    /// The values of the variables.
    Configuration,
    /// A variable that is none of ours, that has no effect, or that this machine does not go with; the subject is its
    /// name.
    Variable,
    /// The release of the kernel.
    Kernel,
    /// Whether a ring can be made.
    IoUring,
    /// The limit on locked memory.
    Memlock,
    /// The limit on open files.
    Nofile,
    /// Where clients connect; the subject is the address.
    ClientPort,
    /// Where the admin server listens; the subject is the address.
    AdminPort,
    /// Which zone the balancer is in, where that is heeded.
    Zone,
    /// One look for targets; the subject, if any, is the id of an instance.
    Discovery,
    /// One health check; the subject is the target's address.
    Target,
    /// All health checks together.
    Targets,
}

impl Check {
    fn title(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Variable => "variable",
            Self::Kernel => "kernel",
            Self::IoUring => "io_uring",
            Self::Memlock => "locked memory",
            Self::Nofile => "open files",
            Self::ClientPort => "client port",
            Self::AdminPort => "admin port",
            Self::Zone => "zone",
            Self::Discovery => "discovery",
            Self::Target => "target",
            Self::Targets => "targets",
        }
    }
}

/// What came out of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// As it should be.
    Ok,
    /// It would serve, but somebody should look at it.
    Warning,
    /// It would not serve.
    Failure,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warn",
            Self::Failure => "FAIL",
        }
    }
}

/// One row.
#[derive(Debug, Serialize)]
struct Finding {
    check: Check,
    /// Which one of several.
    subject: Option<String>,
    status: Status,
    /// For people; in one line.
    detail: String,
}

impl Finding {
    fn what(&self) -> String {
        match &self.subject {
            Some(subject) => format!("{} {subject}", self.check.title()),
            None => self.check.title().to_owned(),
        }
    }
}

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Report {
    findings: Vec<Finding>,
    iam_policy: Option<Value>,
}

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

impl Report {
    /// Notes that something is as it should be.
    pub(super) fn ok(&mut self, check: Check, subject: Option<String>, detail: String) {
        self.findings.push(Finding { check, subject, status: Status::Ok, detail });
    }

    /// Notes what does not keep the balancer from serving.
    pub(super) fn warning(&mut self, check: Check, subject: Option<String>, detail: String) {
        self.findings.push(Finding { check, subject, status: Status::Warning, detail });
    }

    /// Notes what keeps the balancer from serving.
    pub(super) fn failure(&mut self, check: Check, subject: Option<String>, detail: String) {
        self.findings.push(Finding { check, subject, status: Status::Failure, detail });
    }

    /// Notes the permissions without which no target is found.
    #[cfg(any(test, feature = "aws"))]
    pub(super) fn needs_policy(&mut self, policy: Value) {
        self.iam_policy = Some(policy);
    }

    /// Whether nothing that was found keeps the balancer from serving.
    pub(super) fn would_serve(&self) -> bool {
        self.count(Status::Failure) == 0
    }

    fn count(&self, status: Status) -> usize {
        self.findings.iter().filter(|finding| finding.status == status).count()
    }

    /// For people: a line for each finding, with columns, and the verdict.
    pub(super) fn table(&self) -> String {
        let rows: Vec<_> = self.findings.iter().map(|finding| (finding, finding.what())).collect();
        let width = rows.iter().map(|(_, what)| what.chars().count()).max().unwrap_or_default();
        let mut text = String::new();
        // Writing to a String cannot fail.
        for (finding, what) in &rows {
            let _ =
                writeln!(text, "{:4}  {what:width$}  {}", finding.status.word(), finding.detail);
        }
        if let Some(policy) = &self.iam_policy {
            let _ = writeln!(text, "\nThe least that the IAM role has to allow:\n\n{policy:#}");
        }
        let verdict = if self.would_serve() { "would serve" } else { "would not serve" };
        let (failures, warnings) = (self.count(Status::Failure), self.count(Status::Warning));
        let _ = writeln!(
            text,
            "\n{verdict}: {}, {}",
            counted(failures, "failure"),
            counted(warnings, "warning")
        );
        text
    }

    /// For programs: one JSON object.
    pub(super) fn json(&self) -> String {
        let view = View {
            version: env!("CARGO_PKG_VERSION"),
            would_serve: self.would_serve(),
            failures: self.count(Status::Failure),
            warnings: self.count(Status::Warning),
            checks: &self.findings,
            iam_policy: self.iam_policy.as_ref(),
        };
        let json = serde_json::to_string_pretty(&view).expect("texts and numbers fit into JSON");
        json + "\n"
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::default();
        report.ok(Check::Kernel, None, "6.1.0".to_owned());
        report.warning(Check::Target, Some("10.0.0.1:80".to_owned()), "refused".to_owned());
        report
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(
            report().table(),
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
        let table = report.table();
        assert!(table.contains("\nFAIL  discovery"), "{table}");
        assert!(table.contains("{\n  \"Version\": \"2012-10-17\"\n}"), "{table}");
        assert!(table.ends_with("\nwould not serve: 1 failure, 1 warning\n"), "{table}");
        let json: Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["iam_policy"]["Version"], "2012-10-17");
        assert_eq!(json["would_serve"], false);
    }

    #[test]
    fn names_in_json_are_stable() {
        let json: Value = serde_json::from_str(&report().json()).unwrap();
        let target = serde_json::json!({
            "check": "target", "subject": "10.0.0.1:80", "status": "warning", "detail": "refused",
        });
        assert_eq!(json["checks"][1], target);
        assert_eq!(serde_json::to_value(Check::IoUring).unwrap(), "io_uring");
        assert_eq!(serde_json::to_value(Check::ClientPort).unwrap(), "client_port");
        assert_eq!(serde_json::to_value(Status::Failure).unwrap(), "failure");
    }
}
