use std::time::Instant;

use super::probe::CheckFailure;
use crate::policy::identity::Identity;

/// The result of one check.
#[derive(Debug)]
pub(crate) struct Checked {
    /// By which prober, counted from 0.
    pub(crate) group: usize,
    /// Who was checked.
    pub(crate) target: Identity,
    /// Not before this time.
    pub(crate) began: Instant,
    /// Why it is not healthy, if so.
    pub(crate) result: Result<(), CheckFailure>,
}
