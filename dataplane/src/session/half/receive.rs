/// What takes bytes from a side, if anything does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::session) enum Receive {
    /// Nothing was ever asked for.
    #[default]
    NotYet,
    Off,
    /// A receive into buffers is in flight.
    Buffers {
        multishot: bool,
        /// Its cancellation was asked for.
        cancelling: bool,
    },
    /// A wait for something to splice is in flight, or its end is being answered.
    Splice {
        /// Its cancellation was asked for.
        cancelling: bool,
    },
}

impl Receive {
    pub(in crate::session) fn is_off(self) -> bool {
        matches!(self, Self::NotYet | Self::Off)
    }

    /// Whether it is in flight and meant to stay so.
    pub(in crate::session) fn is_on(self) -> bool {
        matches!(self, Self::Buffers { cancelling: false, .. } | Self::Splice { cancelling: false })
    }

    /// Marks it as being cancelled: whether that has to be asked for.
    pub(super) fn cancel(&mut self) -> bool {
        let must_ask = self.is_on();
        if let Self::Buffers { cancelling, .. } | Self::Splice { cancelling } = self {
            *cancelling = true;
        }
        must_ask
    }
}
