/// How far the end of a resting connection is that is closed so that its client comes back and is
/// led elsewhere: by FIN on both sides, and only if nothing is under way by then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum RebalanceState {
    #[default]
    No,
    /// What waits for bytes or errors is being taken back.
    Stopping,
    /// Nothing is in flight; whether anything has come since is being looked at.
    Looking,
}

impl RebalanceState {
    pub(super) fn is_under_way(self) -> bool {
        self != Self::No
    }

    /// It is asked for, of a connection that rests.
    pub(super) fn begin(&mut self) {
        if *self == Self::No {
            *self = Self::Stopping;
        }
    }

    /// The connection goes on as if nothing had been asked for.
    pub(super) fn stay(&mut self) {
        *self = Self::No;
    }

    /// The look found nothing, or something; whatever it is, it is over: whether to close now.
    pub(super) fn answer(&mut self, is_empty: bool) -> bool {
        std::mem::take(self) == Self::Looking && is_empty
    }
}
