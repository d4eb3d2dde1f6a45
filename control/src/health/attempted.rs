use std::time::Instant;

use crate::policy::breaker::ConnectAttempt;
use crate::policy::identity::Identity;

/// How an attempt ended.
#[derive(Debug)]
pub(crate) struct Attempted {
    pub(crate) target: Identity,
    pub(crate) began: Instant,
    pub(crate) result: ConnectAttempt,
}
