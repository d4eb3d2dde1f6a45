/// Why the beginning of a connection is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is no header at all.
    Missing,
    /// It breaks the rules of its version, or its checksum is wrong.
    Malformed,
    /// Longer than allowed: `HEADER_MAX_BYTES`, or the 107 bytes of version 1.
    Oversized,
}
