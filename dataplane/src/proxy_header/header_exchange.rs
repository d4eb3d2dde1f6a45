use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use exchange::Rejection;
use socket2::SockRef;

use crate::proxy_header::{Addresses, Fault, HEADER_MAX_BYTES, Header, Tlvs};
use crate::sys::peer_address;

/// Whose connection it is, as far as that is known before a target was told. Only there while
/// PROXY protocol headers are in use.
#[derive(Debug)]
pub(crate) struct HeaderExchange {
    /// The client's header as far as it has come.
    received: Vec<u8>,
    /// What the target is going to be told.
    header: Header,
}

/// What the bytes that came last mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderRead {
    /// The header goes on.
    Incomplete,
    /// The header is whole.
    Complete {
        /// So many of the bytes still belong to it.
        header_bytes: usize,
        /// Whose connection it says that it is.
        client: HeaderSource,
    },
}

/// Whom a header is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderSource {
    /// The proxy itself, which checks our health: nobody connects through it.
    Proxy,
    /// Somebody of whom only the proxy's address is known.
    Unknown,
    /// The client at this address.
    Client(SocketAddr),
}

impl HeaderExchange {
    /// By the connection itself, to be replaced by what its header says if one is expected.
    pub(crate) fn of(client: &OwnedFd) -> Self {
        Self { received: Vec::new(), header: own(client).unwrap_or(Header::Unknown) }
    }

    /// Takes in what came last, appended by `read` to what came before. With `drops_fields`, the
    /// header's fields are forgotten.
    ///
    /// # Errors
    /// Why the client is to be turned away.
    pub(crate) fn take_in(
        &mut self,
        read: impl FnOnce(&mut Vec<u8>),
        drops_fields: bool,
    ) -> Result<HeaderRead, Rejection> {
        let before = self.received.len();
        debug_assert!(before < HEADER_MAX_BYTES);
        read(&mut self.received);
        let Some((header, bytes)) = Header::parse(&self.received).map_err(rejection)? else {
            return Ok(HeaderRead::Incomplete);
        };
        self.received = Vec::new();
        let client = match header {
            // For the target both are what they seem to be.
            Header::Local => HeaderSource::Proxy,
            Header::Unknown => HeaderSource::Unknown,
            Header::Proxied(addresses, fields) => {
                let fields = if drops_fields { Tlvs::default() } else { fields };
                let source = addresses.source();
                self.header = Header::Proxied(addresses, fields);
                HeaderSource::Client(source)
            }
        };
        Ok(HeaderRead::Complete { header_bytes: bytes - before, client })
    }

    /// Why a client that has ended before its header was whole is turned away.
    pub(crate) fn cut_short(&self) -> Rejection {
        if self.received.is_empty() {
            Rejection::ProxyHeaderNone
        } else {
            Rejection::ProxyHeaderMalformed
        }
    }

    /// What the target is to be told.
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }
}

fn rejection(fault: Fault) -> Rejection {
    match fault {
        Fault::Missing => Rejection::ProxyHeaderMissing,
        Fault::Malformed => Rejection::ProxyHeaderMalformed,
        Fault::Oversized => Rejection::ProxyHeaderOversized,
    }
}

/// The two ends of a connection; `None` if it is not IP.
fn own(client: &OwnedFd) -> Option<Header> {
    let local = SockRef::from(client).local_addr().ok()?.as_socket()?;
    let addresses = Addresses::new(peer_address(client).ok()?, local);
    Some(Header::Proxied(addresses, Tlvs::default()))
}
