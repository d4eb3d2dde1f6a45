use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Error, Timeout};

use super::failure::CheckFlaw;
use super::{head, protocol};
use crate::health::proxy_header::ProxyHeader;

/// Largest head of an answer, in bytes.
pub(super) const MAX_HEAD_BYTES: usize = 16 << 10;
/// Holds the head of the request, of which the path is the largest part.
const SEND_BUFFER_BYTES: usize = 4 << 10;

/// How long the rest of an answer is read once its result is known.
const LINGER: Duration = Duration::from_millis(200);

/// Connects to a target, and sends what goes before the request.
#[derive(Debug)]
pub(super) struct TargetConnector {
    pub(super) proxy_header: Option<ProxyHeader>,
    /// Set once the result is known: what is still to come has little time left.
    pub(super) is_known: Arc<AtomicBool>,
}

impl Connector for TargetConnector {
    type Out = ProbeConnection;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<ProbeConnection>, Error> {
        let address = details.addrs.first().ok_or(Error::HostNotFound)?;
        // Zero is no timeout but an error.
        let timeout = (*details.timeout.after).max(Duration::from_millis(1));
        let mut stream = TcpStream::connect_timeout(address, timeout).map_err(|error| {
            let timed_out = error.kind() == io::ErrorKind::TimedOut;
            if timed_out { Error::Timeout(Timeout::Connect) } else { error.into() }
        })?;
        stream.set_nodelay(true)?;
        if let Some(header) = self.proxy_header {
            stream.write_all(header.as_bytes())?;
        }
        Ok(Some(ProbeConnection {
            stream,
            buffers: LazyBuffers::new(MAX_HEAD_BYTES, SEND_BUFFER_BYTES),
            received: Vec::new(),
            has_head: false,
            is_known: Arc::clone(&self.is_known),
            lingers_until: None,
        }))
    }
}

/// Hands the head of an answer on as a whole, once it is clear that it is HTTP/1 and not too long,
/// and without folded lines, which the parser does not know. The body goes on as it comes.
#[derive(Debug)]
pub(super) struct ProbeConnection {
    stream: TcpStream,
    buffers: LazyBuffers,
    /// What has come and was not handed on.
    received: Vec<u8>,
    /// The head was handed on.
    has_head: bool,
    is_known: Arc<AtomicBool>,
    lingers_until: Option<Instant>,
}

impl ProbeConnection {
    /// Waits for a whole head and hands it on. False at the end of the stream.
    fn receive_head(&mut self, deadline: Instant) -> Result<bool, Error> {
        loop {
            if let Err(what) = protocol::recognise(&self.received) {
                return Err(flaw(CheckFlaw::NotHttp(what)));
            }
            let end = head::end(&self.received);
            if end.unwrap_or(self.received.len()) > MAX_HEAD_BYTES {
                return Err(flaw(CheckFlaw::LongHead(MAX_HEAD_BYTES)));
            }
            if let Some(end) = end {
                head::unfold(&mut self.received[..end]);
                self.has_head = !head::is_interim(&self.received[..end]);
                self.hand_on(end);
                return Ok(true);
            }
            let mut piece = [0; 4096];
            let bytes = self.read(&mut piece, deadline).map_err(|error| match error {
                Error::Timeout(_) if !self.received.is_empty() => {
                    Error::Timeout(Timeout::RecvResponse)
                }
                error => error,
            })?;
            if bytes == 0 {
                return Ok(false);
            }
            self.received.extend_from_slice(&piece[..bytes]);
        }
    }

    /// Hands on what has come, at most `bytes` of it.
    fn hand_on(&mut self, bytes: usize) {
        let free = self.buffers.input_append_buf();
        let bytes = bytes.min(free.len());
        free[..bytes].copy_from_slice(&self.received[..bytes]);
        self.buffers.input_appended(bytes);
        self.received.drain(..bytes);
    }

    fn receive_body(&mut self, deadline: Instant) -> Result<bool, Error> {
        if !self.received.is_empty() {
            self.hand_on(self.received.len());
            return Ok(true);
        }
        let mut deadline = deadline;
        if self.is_known.load(Relaxed) {
            let last = self.lingers_until.get_or_insert_with(|| Instant::now() + LINGER);
            deadline = deadline.min(*last);
        }
        set_read_timeout(&self.stream, deadline)?;
        let bytes = read(&mut self.stream, self.buffers.input_append_buf())?;
        self.buffers.input_appended(bytes);
        Ok(bytes > 0)
    }

    fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> Result<usize, Error> {
        set_read_timeout(&self.stream, deadline)?;
        read(&mut self.stream, buffer)
    }
}

impl Transport for ProbeConnection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        // A request is so short that a new socket takes it at once.
        self.stream.write_all(&self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let deadline = Instant::now() + *timeout.after;
        if self.has_head { self.receive_body(deadline) } else { self.receive_head(deadline) }
    }

    /// It serves one request.
    fn is_open(&mut self) -> bool {
        false
    }
}

fn flaw(flaw: CheckFlaw) -> Error {
    Error::Other(Box::new(flaw))
}

/// The time that is left until `deadline` (`SO_RCVTIMEO` of socket(7)).
fn set_read_timeout(stream: &TcpStream, deadline: Instant) -> Result<(), Error> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Error::Timeout(Timeout::Global));
    }
    // Less than the clock tells would be for ever.
    Ok(stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?)
}

fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<usize, Error> {
    loop {
        match stream.read(buffer) {
            Ok(bytes) => return Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(Error::Timeout(Timeout::Global));
            }
            Err(error) => return Err(error.into()),
        }
    }
}
