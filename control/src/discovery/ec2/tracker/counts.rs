use std::collections::BTreeMap;

/// The instances of one answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct InstanceCounts {
    /// How many are targets.
    pub(crate) found: usize,
    /// How many are none, by the label of the reason.
    pub(crate) ignored: BTreeMap<&'static str, usize>,
}
