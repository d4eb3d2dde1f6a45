//! What names a session, its two sides and its bytes, wherever they are spoken of.

mod abort_reason;
mod key;
mod piece;
mod side;

pub(crate) use abort_reason::AbortReason;
pub(crate) use key::Key;
pub(crate) use piece::Piece;
pub(crate) use side::Side;
