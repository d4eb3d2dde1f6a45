use exchange::Entry;

use crate::status::Condition;

/// What becomes of all targets at an instant.
#[derive(Debug)]
pub(super) struct Assessment {
    /// Whether targets are used although their checks fail.
    pub(super) fail_open: bool,
    /// Whether clients are let in.
    pub(super) admits: bool,
    /// What cores are told of each target.
    pub(super) entries: Vec<Entry>,
    /// What operators are told of it, in the same order.
    pub(super) conditions: Vec<Condition>,
}
