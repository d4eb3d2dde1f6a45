/// Names a session of this core: its slot, and how many sessions the slot had before, so that
/// nothing meant for one of those reaches this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) slot: u32,
    /// 24 bits.
    pub(crate) generation: u32,
}

impl Key {
    pub(crate) const GENERATION_MASK: u32 = 0xFF_FFFF;
}
