mod connection;
mod failure;
mod head;
mod protocol;

use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use rustix::io::Errno;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;
use ureq::{Agent, Body, Error, Timeout};

use crate::health::path::CheckPath;
use crate::health::proxy_header::ProxyHeader;
use crate::health::settings::HealthSettings;
use crate::health::status::StatusSet;
use crate::log_lines::escaped::Escaped;
use crate::threads::guard;
use connection::{MAX_HEAD_BYTES, TargetConnector};
pub use failure::{CheckFailure, CheckFlaw};

/// Of a body this much is read after its first byte. A connection that is closed with more on its
/// way is reset, which servers log as an error.
const MAX_REST_BYTES: u64 = 1 << 20;

/// A probe heeds its timeout by itself. How much longer its thread may need to say so.
const THREAD_DELAY: Duration = Duration::from_millis(100);

/// One HTTP/1.1 GET over a connection of its own. Blocks its thread for at most the timeout.
///
/// An answer counts once its status has come and the first byte of its body, or the body's end:
/// a server that hangs after the head is not well.
#[derive(Debug)]
pub(crate) struct Probe {
    config: Config,
    path: CheckPath,
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
            config: agent_config(settings.timeout),
            path: settings.path.clone(),
            request: format!("GET {}{at}", Escaped(settings.path.as_str())).into(),
            port: settings.port,
            proxy_header: settings.proxy_header,
            status: settings.status.clone(),
            timeout: settings.timeout,
        }
    }

    /// How long to wait for [`Probe::run`] on a thread of its own, which may be late.
    pub(crate) fn longest(&self) -> Duration {
        self.timeout + THREAD_DELAY
    }

    /// Checks the target at `address`.
    ///
    /// # Errors
    /// Why the target is not healthy.
    pub(crate) fn run(&self, address: SocketAddr) -> Result<(), CheckFailure> {
        guarded(|| self.ask(address))
    }

    fn ask(&self, address: SocketAddr) -> Result<(), CheckFailure> {
        let address = SocketAddr::new(address.ip(), self.port.unwrap_or(address.port()));
        let is_known = Arc::new(AtomicBool::new(false));
        let connector =
            TargetConnector { proxy_header: self.proxy_header, is_known: Arc::clone(&is_known) };
        // Of its own, since the connector is of this one check.
        let agent = Agent::with_parts(self.config.clone(), connector, Literal);
        let request = agent
            .get(format!("http://{address}{}", self.path))
            .header("Host", address.to_string())
            .header("Connection", "close");
        let mut response = request.call().map_err(|error| self.failure(error))?;
        let result = self.judge(response.status().as_u16(), response.body_mut());
        is_known.store(true, Relaxed);
        let mut rest = response.body_mut().as_reader().take(MAX_REST_BYTES);
        // How it ends changes nothing.
        drop(io::copy(&mut rest, &mut io::sink()));
        result
    }

    fn judge(&self, status: u16, body: &mut Body) -> Result<(), CheckFailure> {
        if !self.status.contains(status) {
            return Err(self.flaw(CheckFlaw::Status(status)));
        }
        // One byte, or the end.
        match io::copy(&mut body.as_reader().take(1), &mut io::sink()) {
            Ok(_) => Ok(()),
            Err(error) => Err(match Error::from(error) {
                Error::Timeout(_) => self.flaw(CheckFlaw::NoBody(status, self.timeout)),
                error => self.failure(error),
            }),
        }
    }

    fn failure(&self, error: Error) -> CheckFailure {
        match error {
            Error::Timeout(Timeout::Connect) => {
                self.not_connected(&format!("no connection, timed out after {:?}", self.timeout))
            }
            Error::Timeout(Timeout::RecvResponse) => self.flaw(CheckFlaw::SlowHead(self.timeout)),
            Error::Timeout(_) => self.flaw(CheckFlaw::Silence(self.timeout)),
            Error::Io(error) if is_ours(&error) => CheckFailure::NotMade(error.to_string()),
            Error::Io(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => self.not_connected("connection refused"),
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                    self.not_connected(&error.to_string())
                }
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                    self.flaw(CheckFlaw::Reset)
                }
                io::ErrorKind::TimedOut => self.flaw(CheckFlaw::Silence(self.timeout)),
                // What ureq says where the stream ends too early.
                io::ErrorKind::UnexpectedEof => self.flaw(CheckFlaw::Cut),
                _ => CheckFailure::Other(Escaped(&error.to_string()).to_string()),
            },
            Error::Protocol(error) => {
                let how = error.to_string();
                let how = how.trim_start_matches("http parse fail: ");
                self.flaw(CheckFlaw::Malformed(how.to_owned()))
            }
            Error::Other(error) => match error.downcast::<CheckFlaw>() {
                Ok(flaw) => self.flaw(*flaw),
                Err(error) => CheckFailure::Other(Escaped(&error.to_string()).to_string()),
            },
            error => CheckFailure::Other(Escaped(&error.to_string()).to_string()),
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

/// Whether an error is about this machine and not about the target (connect(2), socket(2)).
pub(crate) fn is_ours(error: &io::Error) -> bool {
    let ours = [Errno::ADDRNOTAVAIL, Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| ours.contains(&errno))
}

fn agent_config(timeout: Duration) -> Config {
    Agent::config_builder()
        // Probes go where traffic goes, whatever http_proxy says.
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections(0)
        .timeout_global(Some(timeout))
        .max_response_header_size(MAX_HEAD_BYTES)
        .user_agent(concat!("stateless-load-balancer/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Takes the address that the URI holds. ureq's own resolver would start a thread per probe.
#[derive(Debug)]
struct Literal;

impl Resolver for Literal {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let address = uri.authority().and_then(|authority| authority.as_str().parse().ok());
        let mut addresses = self.empty();
        addresses.push(address.ok_or(Error::HostNotFound)?);
        Ok(addresses)
    }
}

/// What `ask` answers; a library's panic is a failed check.
fn guarded(ask: impl FnOnce() -> Result<(), CheckFailure>) -> Result<(), CheckFailure> {
    let asked = guard::call(ask);
    asked.unwrap_or_else(|panicked| Err(CheckFailure::Other(panicked.to_string())))
}

#[cfg(test)]
mod tests;
