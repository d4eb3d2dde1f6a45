use serde::Serialize;
use serde_json::Value;

use crate::config::Problem;

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
    /// For people.
    pub(super) fn title(self) -> &'static str {
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
pub(super) enum Status {
    /// As it should be.
    Ok,
    /// It would serve, but somebody should look at it.
    Warning,
    /// It would not serve.
    Failure,
}

impl Status {
    /// For people.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warn",
            Self::Failure => "FAIL",
        }
    }
}

/// One of them.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) check: Check,
    /// Which one of several.
    pub(super) subject: Option<String>,
    pub(super) status: Status,
    /// For people; in one line.
    pub(super) detail: String,
    /// Whose value is to blame, if it is a variable's.
    #[serde(skip)]
    pub(super) problem: Option<Problem>,
}

/// All that was found, in the order in which it was looked for.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) list: Vec<Finding>,
    /// The permissions without which no target is found.
    pub(super) iam_policy: Option<Value>,
}

impl Findings {
    /// Notes that something is as it should be.
    pub(super) fn ok(&mut self, check: Check, subject: Option<String>, detail: String) {
        self.note(check, subject, Status::Ok, detail);
    }

    /// Notes what does not keep the balancer from serving.
    pub(super) fn warning(&mut self, check: Check, subject: Option<String>, detail: String) {
        self.note(check, subject, Status::Warning, detail);
    }

    /// Notes what keeps the balancer from serving.
    pub(super) fn failure(&mut self, check: Check, subject: Option<String>, detail: String) {
        self.note(check, subject, Status::Failure, detail);
    }

    /// Notes a variable's value that keeps the balancer from serving.
    pub(super) fn refused(&mut self, check: Check, subject: Option<String>, problem: Problem) {
        let (status, detail) = (Status::Failure, problem.to_string());
        self.list.push(Finding { check, subject, status, detail, problem: Some(problem) });
    }

    /// Notes that something is as it should be, or why it keeps the balancer from serving.
    pub(super) fn result(&mut self, check: Check, result: Result<String, String>) {
        match result {
            Ok(detail) => self.ok(check, None, detail),
            Err(detail) => self.failure(check, None, detail),
        }
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

    /// How many there are of this kind.
    pub(super) fn count(&self, status: Status) -> usize {
        self.list.iter().filter(|finding| finding.status == status).count()
    }

    fn note(&mut self, check: Check, subject: Option<String>, status: Status, detail: String) {
        self.list.push(Finding { check, subject, status, detail, problem: None });
    }
}
