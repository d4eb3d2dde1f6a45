use std::time::Instant;

use exchange::ServiceIndex;

use crate::policy::breaker::ConnectAttempt;
use crate::policy::identity::Identity;

/// How an attempt ended.
#[derive(Debug)]
pub(crate) struct Attempted {
    /// For which service.
    pub(crate) service: ServiceIndex,
    pub(crate) target: Identity,
    pub(crate) began: Instant,
    pub(crate) result: ConnectAttempt,
}
