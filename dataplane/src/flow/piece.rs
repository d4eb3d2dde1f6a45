/// Bytes `start..end` of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) buffer: u16,
    pub(crate) start: u16,
    pub(crate) end: u16,
}

impl Piece {
    pub(crate) fn len(self) -> usize {
        usize::from(self.end - self.start)
    }
}
