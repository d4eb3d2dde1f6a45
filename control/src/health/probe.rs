mod connection;
mod failure;
mod head;
mod obstacle;
mod protocol;
mod unseen;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use ureq_proto::client::state::RecvResponse;
use ureq_proto::client::{Call, SendRequestResult};
use ureq_proto::http::Request;

use crate::health::body_match::{BodyMatch, SEARCHED_BYTES};
use crate::health::check_host::CheckHost;
use crate::health::path::CheckPath;
use crate::health::proxy_header::ProxyHeader;
use crate::health::settings::{CheckProtocol, HealthSettings};
use crate::health::status::StatusSet;
use crate::log_lines::escaped::Escaped;
use crate::threads::guarded::Guarded;
use connection::ProbeConnection;
pub use failure::{CheckFailure, CheckFlaw};
use obstacle::Obstacle;

const USER_AGENT: &str = concat!("stateless-load-balancer/", env!("CARGO_PKG_VERSION"));

/// Holds the head of the request, of which the path is the largest part, in bytes.
const REQUEST_BYTES: usize = 4 << 10;

/// One HTTP/1.1 GET over a connection of its own, or just a connection. Takes at most the timeout.
///
/// An answer counts once its status has come and the first byte of its body, or the body's end:
/// a server that hangs after the head is not well. Where the body has to hold a text, that counts.
#[derive(Debug)]
pub(crate) struct Probe {
    protocol: CheckProtocol,
    path: CheckPath,
    host: Option<CheckHost>,
    body: Option<BodyMatch>,
    /// What is asked, as a failure says it.
    request: Arc<str>,
    port: Option<u16>,
    proxy_header: Option<ProxyHeader>,
    status: StatusSet,
    timeout: Duration,
}

impl Probe {
    pub(crate) fn new(settings: &HealthSettings) -> Self {
        let at = settings.port.map(|port| format!(" at port {port}")).unwrap_or_default();
        Self {
            protocol: settings.protocol,
            path: settings.path.clone(),
            host: settings.host.clone(),
            body: settings.body.clone(),
            request: format!("GET {}{at}", Escaped(settings.path.as_str())).into(),
            port: settings.port,
            proxy_header: settings.proxy_header,
            status: settings.status.clone(),
            timeout: settings.timeout,
        }
    }

    /// Checks the target at `address`.
    ///
    /// # Errors
    /// Why the target is not healthy.
    pub(crate) async fn run(&self, address: SocketAddr) -> Result<(), CheckFailure> {
        guarded(self.check(address)).await
    }

    async fn check(&self, address: SocketAddr) -> Result<(), CheckFailure> {
        let address = SocketAddr::new(address.ip(), self.port.unwrap_or(address.port()));
        let deadline = Instant::now() + self.timeout;
        let result = match self.protocol {
            CheckProtocol::Http => self.get(address, deadline).await,
            CheckProtocol::Tcp => in_time(deadline, unseen::touch(address)).await,
            CheckProtocol::None => Ok(()),
        };
        result.map_err(|obstacle| self.failure(obstacle))
    }

    async fn get(&self, address: SocketAddr, deadline: Instant) -> Result<(), Obstacle> {
        let mut connection = self.connect(address, deadline).await?;
        let result = self.ask(address, &mut connection).await;
        if matches!(
            result,
            Ok(()) | Err(Obstacle::Flaw(CheckFlaw::Status(_) | CheckFlaw::NoMatch(..)))
        ) {
            connection.read_rest().await;
        }
        result
    }

    async fn connect(
        &self,
        address: SocketAddr,
        deadline: Instant,
    ) -> Result<ProbeConnection<TcpStream>, Obstacle> {
        let stream = in_time(deadline, TcpStream::connect(address)).await?;
        stream.set_nodelay(true)?;
        let mut connection = ProbeConnection::new(stream, deadline);
        if let Some(header) = self.proxy_header {
            connection.send(header.as_bytes()).await?;
        }
        Ok(connection)
    }

    async fn ask(
        &self,
        address: SocketAddr,
        connection: &mut ProbeConnection<TcpStream>,
    ) -> Result<(), Obstacle> {
        let (head, call) = self.request(address)?;
        connection.send(&head).await?;
        let status = connection.receive_head(call).await?;
        if !self.status.contains(status) {
            return Err(CheckFlaw::Status(status).into());
        }
        let mut body = Vec::new();
        let received = self.receive(&mut body, connection).await;
        match &self.body {
            Some(wanted) if received.is_ok() || !body.is_empty() => {
                let is_in = wanted.is_in(&body);
                is_in
                    .then_some(())
                    .ok_or_else(|| CheckFlaw::NoMatch(status, wanted.to_string()).into())
            }
            _ => received.map_err(|obstacle| match obstacle {
                Obstacle::TimedOut => CheckFlaw::NoBody(status, self.timeout).into(),
                obstacle => obstacle,
            }),
        }
    }

    /// Receives what matters of the body: one byte, or the end; or what is searched for a text.
    async fn receive(
        &self,
        body: &mut Vec<u8>,
        connection: &mut ProbeConnection<TcpStream>,
    ) -> Result<(), Obstacle> {
        let Some(wanted) = &self.body else {
            return connection.receive_body(&mut [0]).await.map(drop);
        };
        let mut bytes = 0;
        body.resize(SEARCHED_BYTES, 0);
        let result = loop {
            match connection.receive_body(&mut body[bytes..]).await {
                Ok(0) => break Ok(()),
                Ok(more) => bytes += more,
                Err(obstacle) => break Err(obstacle),
            }
            if bytes == SEARCHED_BYTES || wanted.is_in(&body[..bytes]) {
                break Ok(());
            }
        };
        body.truncate(bytes);
        result
    }

    /// The head of the request, and what knows how to read its answer.
    fn request(&self, address: SocketAddr) -> Result<(Vec<u8>, Call<RecvResponse>), Obstacle> {
        let request = Request::get(format!("http://{address}{}", self.path))
            .header("Host", self.host.as_ref().map_or(address.to_string(), CheckHost::to_string))
            .header("Connection", "close")
            .header("User-Agent", USER_AGENT)
            .header("Accept", "*/*")
            .body(())
            .map_err(io::Error::other)?;
        let mut call = Call::new(request)?.proceed();
        let mut head = vec![0; REQUEST_BYTES];
        let mut bytes = 0;
        while !call.can_proceed() {
            bytes += call.write(&mut head[bytes..])?;
        }
        head.truncate(bytes);
        match call.proceed()? {
            Some(SendRequestResult::RecvResponse(call)) => Ok((head, call)),
            _ => Err(io::Error::other("a GET has no body").into()),
        }
    }

    fn failure(&self, obstacle: Obstacle) -> CheckFailure {
        match obstacle {
            Obstacle::NotConnected => {
                self.not_connected(&format!("no connection, timed out after {:?}", self.timeout))
            }
            Obstacle::Flaw(flaw) => self.flaw(flaw),
            Obstacle::SlowHead => self.flaw(CheckFlaw::SlowHead(self.timeout)),
            Obstacle::TimedOut => self.flaw(CheckFlaw::Silence(self.timeout)),
            Obstacle::Io(error) if is_ours(&error) => CheckFailure::NotMade(error.to_string()),
            Obstacle::Io(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => self.not_connected("connection refused"),
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                    self.not_connected(&error.to_string())
                }
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                    self.flaw(CheckFlaw::Reset)
                }
                io::ErrorKind::TimedOut => self.flaw(CheckFlaw::Silence(self.timeout)),
                io::ErrorKind::UnexpectedEof => self.flaw(CheckFlaw::Cut),
                _ => CheckFailure::Other(Escaped(&error.to_string()).to_string()),
            },
        }
    }

    fn flaw(&self, flaw: CheckFlaw) -> CheckFailure {
        CheckFailure::Answer(Arc::clone(&self.request), flaw)
    }

    fn not_connected(&self, reason: &str) -> CheckFailure {
        CheckFailure::NotConnected(match self.port {
            Some(port) => format!("{reason} at port {port} (HEALTH_CHECK_PORT)"),
            None => reason.to_owned(),
        })
    }
}

/// What connecting comes to until `deadline`.
async fn in_time<T>(
    deadline: Instant,
    connecting: impl Future<Output = io::Result<T>>,
) -> Result<T, Obstacle> {
    match timeout_at(deadline, connecting).await.map_err(|_| Obstacle::NotConnected)? {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Obstacle::NotConnected),
        connected => Ok(connected?),
    }
}

/// Whether an error is about this machine and not about the target (connect(2), socket(2)).
pub(crate) fn is_ours(error: &io::Error) -> bool {
    let ours = [Errno::ADDRNOTAVAIL, Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| ours.contains(&errno))
}

/// What `check` answers; a panic in it, as a library's, is a failed check.
async fn guarded(
    check: impl Future<Output = Result<(), CheckFailure>>,
) -> Result<(), CheckFailure> {
    let checked = Guarded::new(check).await;
    checked.unwrap_or_else(|panicked| Err(CheckFailure::Other(panicked.to_string())))
}

#[cfg(test)]
mod tests;
