use std::fmt;
use std::time::Duration;

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

    fn remedy(self, action: &str, region: &str) -> String {
        match self {
            Self::Throttled => "nothing to do if it passes: the time between two refreshes grows \
                until it does; else raise NODE_CHECK_PERIOD, or ask AWS for a higher request rate"
                .to_owned(),
            Self::Denied => format!("allow {action} in the policy of the balancer's IAM role"),
            Self::NoCredentials => "attach an IAM role to the instance, or set AWS_PROFILE or \
                AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; if they are set, they may be wrong, \
                expired or of another partition, or this machine's clock may be wrong"
                .to_owned(),
            Self::Timeout | Self::Unreachable => format!(
                "check that AWS_REGION is right (in use: {region}), that there is a way to AWS \
                 from here (NAT gateway or VPC endpoint, security group, DNS) and that \
                 AWS_ENDPOINT_URL, if set, is right"
            ),
            Self::ServerError => "nothing to do here, it usually passes by itself; see \
                health.aws.amazon.com if it does not"
                .to_owned(),
            Self::Malformed => {
                "if AWS_ENDPOINT_URL or a proxy is set, check that AWS answers there".to_owned()
            }
            Self::Other => {
                format!(
                    "check the names that are configured, AWS_REGION (in use: {region}) and \
                     AWS_ENDPOINT_URL, if set"
                )
            }
        }
    }
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
}

impl Fault {
    /// `reason` is without control characters and of bounded length.
    pub(super) fn new(kind: FaultKind, action: &'static str, reason: String, region: &str) -> Self {
        Self { kind, action, reason, remedy: kind.remedy(action, region) }
    }

    /// A refresh took longer than `limit`.
    pub(super) fn too_late(limit: Duration, region: &str) -> Self {
        let reason = format!("the answers took longer than {limit:?}");
        Self::new(FaultKind::Timeout, DESCRIBE_INSTANCES, reason, region)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            FaultKind::Throttled => "AWS throttles",
            FaultKind::Denied => "permission is missing for",
            FaultKind::NoCredentials => "no usable AWS credentials for",
            FaultKind::Timeout => "no answer in time to",
            FaultKind::Unreachable => "AWS cannot be reached for",
            FaultKind::ServerError => "AWS has a problem with",
            FaultKind::Malformed => "there is no sense in the answer to",
            FaultKind::Other => "AWS refuses",
        };
        write!(f, "{what} {}: {}; {}", self.action, self.reason, self.remedy)
    }
}

impl std::error::Error for Fault {}
