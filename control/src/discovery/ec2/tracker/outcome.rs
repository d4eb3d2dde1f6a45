use crate::discovery::confirmed_targets::Verdict;
use crate::discovery::ec2::fault::FaultKind;

/// How a refresh ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefreshOutcome {
    /// AWS has answered.
    Answered(Verdict),
    /// It has not, or not so that it could be understood.
    Failed(FaultKind),
}

impl RefreshOutcome {
    /// The value of the metric's label.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Answered(Verdict::Accepted) => "ok",
            Self::Answered(Verdict::EmptyDoubted) => "empty_doubted",
            Self::Answered(Verdict::ShrunkDoubted) => "shrunk_doubted",
            Self::Answered(Verdict::Partial) => "partial",
            Self::Failed(kind) => kind.label(),
        }
    }

    /// Whether the targets are what AWS says they are.
    pub(crate) fn is_good(self) -> bool {
        self == Self::Answered(Verdict::Accepted)
    }

    /// Every outcome there is.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let verdicts =
            [Verdict::Accepted, Verdict::EmptyDoubted, Verdict::ShrunkDoubted, Verdict::Partial];
        let answered = verdicts.into_iter().map(Self::Answered);
        answered.chain(FaultKind::ALL.into_iter().map(Self::Failed))
    }
}
