pub(crate) mod slots;
pub(crate) mod timers;
