/// A PROXY protocol header that says: this connection is the sender's own. Checks begin with it
/// where targets expect one on every connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// Version 1, `UNKNOWN`: that version has no other way to say it.
    V1,
    /// Version 2, `LOCAL`.
    V2,
}

impl ProxyHeader {
    /// As sent ("The PROXY protocol", sections 2.1 and 2.2).
    pub(crate) fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::V1 => b"PROXY UNKNOWN\r\n",
            Self::V2 => b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00",
        }
    }
}
