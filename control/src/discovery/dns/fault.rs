use std::fmt;

use hickory_resolver::net::{DnsError, NetError};

use crate::log_lines::escaped::Escaped;
use crate::threads::guard::Panicked;

/// Why a name could not be looked up: a phrase that goes after the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsFault {
    pub(crate) kind: DnsFaultKind,
    text: String,
}

/// Sorts of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum DnsFaultKind {
    /// No answer in time, or none that could be understood.
    Timeout,
    /// There is nobody who could be asked.
    Unreachable,
    /// A server says that it cannot or will not answer.
    Refused,
    /// An answer that cannot be used.
    Malformed,
    /// More records than are taken.
    TooLarge,
    /// The library, or this machine.
    Internal,
}

impl DnsFaultKind {
    /// Every kind there is.
    pub(crate) const ALL: [Self; 6] = [
        Self::Timeout,
        Self::Unreachable,
        Self::Refused,
        Self::Malformed,
        Self::TooLarge,
        Self::Internal,
    ];

    /// The value of the metric's label.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Internal => "internal",
        }
    }
}

impl DnsFault {
    pub(super) fn new(kind: DnsFaultKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// What the resolver says. That there are no records is no fault.
    pub(super) fn of(error: &NetError) -> Self {
        let (kind, text) = match error {
            NetError::Timeout => (DnsFaultKind::Timeout, "no usable answer in time".to_owned()),
            NetError::NoConnections => {
                (DnsFaultKind::Unreachable, "no name server could be asked".to_owned())
            }
            NetError::Io(error) => {
                (DnsFaultKind::Unreachable, Escaped(&error.to_string()).to_string())
            }
            NetError::Dns(DnsError::ResponseCode(code)) => {
                (DnsFaultKind::Refused, format!("the name server's answer is: {code}"))
            }
            // After it was asked for by TCP as well.
            NetError::Truncated => {
                let text = "it has more records than one answer of DNS holds (64 KiB)";
                (DnsFaultKind::TooLarge, text.to_owned())
            }
            other => (DnsFaultKind::Malformed, Escaped(&other.to_string()).to_string()),
        };
        Self { kind, text }
    }

    pub(super) fn panicked(panicked: &Panicked) -> Self {
        Self::new(DnsFaultKind::Internal, panicked.to_string())
    }
}

impl fmt::Display for DnsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
