use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use exchange::ServiceIndex;
use io_uring::cqueue;

use crate::flow::{Key, Side};

/// What an operation came to.
#[derive(Debug)]
pub(crate) enum Completion {
    /// A connection of a service, or why there is none; `more`: the accept goes on.
    Accepted { service: ServiceIndex, result: io::Result<OwnedFd>, more: bool },
    /// The core was woken.
    Woken,
    /// The end of a connect.
    Connected { key: Key, result: io::Result<()> },
    /// Bytes in a buffer (none: end of stream, no buffer); `more`: the receive goes on.
    Received { key: Key, from: Side, result: io::Result<(u32, Option<u16>)>, more: bool },
    /// How many bytes were queued.
    Sent { key: Key, to: Side, result: io::Result<u32> },
    /// The poll(2) events seen; `more`: the watch goes on.
    Watched { key: Key, side: Side, result: io::Result<u32>, more: bool },
}

impl Completion {
    /// Reads a completion queue entry.
    ///
    /// # Safety
    /// The entry is a ring's own and this is called once for it: a descriptor in it becomes owned.
    pub(super) unsafe fn from_entry(entry: &cqueue::Entry) -> Option<Self> {
        let token = Token::unpack(entry.user_data());
        let Token { key, side, .. } = token;
        let more = cqueue::more(entry.flags());
        let result = u32::try_from(entry.result())
            .map_err(|_| io::Error::from_raw_os_error(-entry.result()));
        Some(match token.kind {
            Kind::Ignored => return None,
            Kind::Accept => {
                let own = |fd: u32| {
                    // SAFETY: the result of an accept is a new descriptor; the caller vouches for
                    // its being taken once.
                    unsafe { OwnedFd::from_raw_fd(fd.cast_signed()) }
                };
                let service = ServiceIndex::new(key.slot as usize);
                Self::Accepted { service, result: result.map(own), more }
            }
            Kind::Wake => Self::Woken,
            Kind::Connect => Self::Connected { key, result: result.map(drop) },
            Kind::Receive => {
                let buffer = cqueue::buffer_select(entry.flags());
                let result = result.map(|bytes| (bytes, buffer));
                Self::Received { key, from: side, result, more }
            }
            Kind::Send => Self::Sent { key, to: side, result },
            Kind::Watch => Self::Watched { key, side, result, more },
        })
    }
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nobody waits for it.
    Ignored,
    Accept,
    Wake,
    Connect,
    Receive,
    Send,
    Watch,
}

/// What goes into `user_data`: from the lowest bit, 1 bit side, 7 bits kind, 24 bits generation,
/// 32 bits slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    kind: Kind,
    key: Key,
    side: Side,
}

impl Token {
    pub(super) fn new(kind: Kind, key: Key, side: Side) -> Self {
        Self { kind, key, side }
    }

    /// For an operation that belongs to no session.
    pub(super) fn bare(kind: Kind) -> Self {
        Self::new(kind, Key { slot: 0, generation: 0 }, Side::Client)
    }

    /// For accepts of a service.
    pub(super) fn accept(service: ServiceIndex) -> Self {
        let slot = u32::try_from(service.place()).expect("there are few services");
        Self::new(Kind::Accept, Key { slot, generation: 0 }, Side::Client)
    }

    pub(super) fn pack(self) -> u64 {
        (u64::from(self.key.slot) << 32)
            | (u64::from(self.key.generation & Key::GENERATION_MASK) << 8)
            | ((self.kind as u64) << 1)
            | self.side as u64
    }

    #[expect(clippy::cast_possible_truncation, reason = "takes the fields apart")]
    fn unpack(packed: u64) -> Self {
        let kind = match (packed as u8) >> 1 {
            1 => Kind::Accept,
            2 => Kind::Wake,
            3 => Kind::Connect,
            4 => Kind::Receive,
            5 => Kind::Send,
            6 => Kind::Watch,
            _ => Kind::Ignored,
        };
        let generation = (packed >> 8) as u32 & Key::GENERATION_MASK;
        let side = if packed & 1 == 0 { Side::Client } else { Side::Target };
        Self { kind, key: Key { slot: (packed >> 32) as u32, generation }, side }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_are_told_apart_by_their_service() {
        let tokens = ServiceIndex::first(ServiceIndex::COUNT_MAX).map(Token::accept);
        for (place, token) in tokens.enumerate() {
            let unpacked = Token::unpack(token.pack());
            assert_eq!((unpacked.kind, unpacked.key.slot as usize), (Kind::Accept, place));
        }
    }

    #[test]
    fn a_token_survives_the_kernel() {
        use Kind::{Accept, Connect, Ignored, Receive, Send, Wake, Watch};
        for kind in [Ignored, Accept, Wake, Connect, Receive, Send, Watch] {
            for side in Side::BOTH {
                let key = Key { slot: u32::MAX - 1, generation: 0xAB_CDEF };
                let token = Token::new(kind, key, side);
                assert_eq!(Token::unpack(token.pack()), token);
            }
        }
    }
}
