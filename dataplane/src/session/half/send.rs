/// What moves bytes to a side, if anything does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::session) enum Send {
    #[default]
    Off,
    /// The first piece of the outbox is in flight.
    Piece {
        /// Its cancellation was asked for.
        cancelling: bool,
    },
    /// A pipe is being emptied, or the wait for room to do so is in flight.
    Pipe {
        /// What is left in it; none once that was given up while the wait goes on.
        bytes: u32,
        /// The cancellation of the wait was asked for.
        cancelling: bool,
    },
}

impl Send {
    /// Whether it is in flight and meant to stay so.
    pub(in crate::session) fn is_on(self) -> bool {
        matches!(self, Self::Piece { cancelling: false } | Self::Pipe { cancelling: false, .. })
    }

    /// Marks it as being cancelled: whether that has to be asked for.
    pub(super) fn cancel(&mut self) -> bool {
        let must_ask = self.is_on();
        if let Self::Piece { cancelling } | Self::Pipe { cancelling, .. } = self {
            *cancelling = true;
        }
        must_ask
    }

    /// Gives up what is in the pipe: whether there was anything.
    pub(super) fn give_up_pipe(&mut self) -> bool {
        let Self::Pipe { bytes, .. } = self else { return false };
        std::mem::take(bytes) > 0
    }
}
