use std::fmt;
use std::io;
use std::time::Duration;

use crate::discovery::ec2::settings::AwsSettings;
use crate::discovery::ec2::timeouts::Timeouts;
use crate::threads::guard::Panicked;

/// The IAM action behind looking up a group.
pub(super) const DESCRIBE_GROUPS: &str = "autoscaling:DescribeAutoScalingGroups";

/// The IAM action behind looking up instances.
pub(super) const DESCRIBE_INSTANCES: &str = "ec2:DescribeInstances";

/// What kind of thing kept AWS from answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// Too many requests from this account.
    Throttled,
    /// The credentials are good, but do not allow it.
    Denied,
    /// There are no credentials, or AWS does not accept them.
    NoCredentials,
    /// No answer in time.
    Timeout,
    /// No connection, or one that ended before there was an answer.
    Unreachable,
    /// AWS has a problem (HTTP status 500-599).
    ServerError,
    /// An answer that is not what it has to be.
    Malformed,
    /// Anything else.
    Other,
}

impl FaultKind {
    /// Every kind there is.
    pub const ALL: [Self; 8] = [
        Self::Throttled,
        Self::Denied,
        Self::NoCredentials,
        Self::Timeout,
        Self::Unreachable,
        Self::ServerError,
        Self::Malformed,
        Self::Other,
    ];

    /// Its name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Denied => "denied",
            Self::NoCredentials => "no_credentials",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::ServerError => "server_error",
            Self::Malformed => "malformed",
            Self::Other => "other",
        }
    }

    fn headline(self) -> &'static str {
        match self {
            Self::Throttled => "AWS throttles",
            Self::Denied => "permission is missing for",
            Self::NoCredentials => "no usable AWS credentials for",
            Self::Timeout => "no answer in time to",
            Self::Unreachable => "AWS cannot be reached for",
            Self::ServerError => "AWS has a problem with",
            Self::Malformed => "there is no sense in the answer to",
            Self::Other => "AWS refuses",
        }
    }

    fn remedy(self, action: &str, settings: &AwsSettings) -> String {
        match self {
            Self::Throttled => "nothing to do if it passes: the time between two refreshes grows \
                until it does; else raise NODE_CHECK_PERIOD, or ask AWS for a higher request rate"
                .to_owned(),
            Self::Denied => format!("allow {action} in the policy of the balancer's IAM role"),
            Self::NoCredentials => format!(
                "attach an IAM role to the instance, or {OWN_CREDENTIALS}; if they are set, they \
                 may be wrong, expired or of another partition, or this machine's clock may be wrong"
            ),
            Self::Timeout | Self::Unreachable => format!(
                "check that AWS_REGION is right (in use: {}), that there is a way to AWS from here \
                 (NAT gateway or VPC endpoint, security group, DNS) and that AWS_ENDPOINT_URL, if \
                 set, is right{}",
                settings.region(),
                proxies(settings)
            ),
            Self::ServerError => "nothing to do here, it usually passes by itself; see \
                health.aws.amazon.com if it does not"
                .to_owned(),
            Self::Malformed => format!(
                "if AWS_ENDPOINT_URL or a proxy is set, check that AWS answers there{}",
                proxies(settings)
            ),
            Self::Other => {
                format!(
                    "check the names that are configured, AWS_REGION (in use: {}) and \
                     AWS_ENDPOINT_URL, if set",
                    settings.region()
                )
            }
        }
    }
}

/// How to give credentials where there is no role.
pub(super) const OWN_CREDENTIALS: &str =
    "set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";

/// What to say of the variables that lead requests through a proxy, after a remedy.
pub(super) fn proxies(settings: &AwsSettings) -> String {
    let [others @ .., last] = &*settings.proxies else { return String::new() };
    let names = if others.is_empty() {
        format!("{last} is")
    } else {
        format!("{} and {last} are", others.join(", "))
    };
    format!("; {names} set: check that AWS can be reached that way, too")
}

/// Why AWS did not answer a question. Displayed as one line: what is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of thing it was.
    pub kind: FaultKind,
    /// The IAM action that was asked for, such as `ec2:DescribeInstances`.
    pub action: &'static str,
    /// What happened, in one line.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
    /// Whether what [`super::iam_policy`] allows may mend it.
    pub wants_policy: bool,
    /// What it comes to; before the action.
    headline: &'static str,
}

impl Fault {
    /// `reason` is without control characters and of bounded length.
    pub(super) fn new(
        kind: FaultKind,
        action: &'static str,
        reason: String,
        settings: &AwsSettings,
    ) -> Self {
        let remedy = kind.remedy(action, settings);
        let wants_policy = matches!(kind, FaultKind::Denied | FaultKind::NoCredentials);
        Self { kind, action, reason, remedy, wants_policy, headline: kind.headline() }
    }

    /// An answer did not come within `limit`; `is_answered` says whether any has come before.
    pub(super) fn timed_out(
        action: &'static str,
        is_answered: bool,
        limit: Duration,
        settings: &AwsSettings,
    ) -> Self {
        if !is_answered {
            let reason = format!("nothing has come within {limit:?}");
            return Self::new(FaultKind::Timeout, action, reason, settings);
        }
        let advice =
            if Timeouts::grow_beyond(settings.period) { ": raise NODE_CHECK_PERIOD" } else { "" };
        let reason = format!("answered too slowly (limit {limit:?}){advice}");
        let fault = Self::new(FaultKind::Timeout, action, reason, settings);
        let remedy = format!("if nothing answers at all, {}", fault.remedy);
        Self { remedy, ..fault }
    }

    /// A refresh took longer than `limit`.
    pub(super) fn too_late(is_answered: bool, limit: Duration, settings: &AwsSettings) -> Self {
        Self::timed_out(DESCRIBE_INSTANCES, is_answered, limit, settings)
    }

    /// No request was sent.
    pub(super) fn unsent(action: &'static str, reason: String, settings: &AwsSettings) -> Self {
        let fault = Self::new(FaultKind::Other, action, reason, settings);
        Self { headline: "the request never left this machine, for", ..fault }
    }

    /// The SDK panicked, or what it runs on did.
    pub(super) fn panicked(panicked: &Panicked, settings: &AwsSettings) -> Self {
        let reason = panicked.to_string();
        let fault = Self::new(FaultKind::Other, DESCRIBE_INSTANCES, reason, settings);
        Self { headline: "the AWS SDK has failed in", ..fault }
    }

    /// There is no thread that could ask.
    pub(super) fn no_thread(error: &io::Error, settings: &AwsSettings) -> Self {
        let reason = format!("no thread can be started: {error}");
        Self::unsent(DESCRIBE_INSTANCES, reason, settings).mended_by(
            "raise the limit that the process has on threads (TasksMax, ulimit -u) or open files"
                .to_owned(),
        )
    }

    /// The same for a reason that says more.
    pub(super) fn because(self, reason: String) -> Self {
        Self { reason, ..self }
    }

    /// The same with another remedy than that of its kind.
    pub(super) fn mended_by(self, remedy: String) -> Self {
        Self { remedy, wants_policy: self.kind == FaultKind::NoCredentials, ..self }
    }

    /// Tells two faults apart that have to be told each.
    pub(super) fn sort(&self) -> (FaultKind, &'static str, &'static str) {
        (self.kind, self.action, self.headline)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}; {}", self.headline, self.action, self.reason, self.remedy)
    }
}

impl std::error::Error for Fault {}
