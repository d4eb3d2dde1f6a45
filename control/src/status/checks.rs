use std::sync::Arc;

/// What a target's health checks say of it, whatever else is the matter with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Checks {
    /// Nothing yet.
    #[default]
    Pending,
    /// They pass.
    Passing,
    /// They fail, the latest one that did for this reason: one short line without control
    /// characters.
    Failing(Arc<str>),
}
