use std::fmt;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::Duration;

use rustix::io::Errno;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport,
};
use ureq::{Agent, Error};

use crate::escaped::Escaped;
use crate::guard;
use crate::health::{CheckPath, ProxyHeader, Settings, StatusSet};

/// Largest head of an answer, in bytes; also the size of a probe's receive buffer.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Holds the request's head, of which the path is the largest part.
const SEND_BUFFER_BYTES: usize = 4 << 10;

/// One HTTP/1.1 GET over a connection of its own. Blocks its thread for at most the timeout.
///
/// An answer counts once its status has come and the first byte of its body, or the body's end:
/// a server that hangs after the head is not well.
#[derive(Debug)]
pub(crate) struct Probe {
    agent: Agent,
    path: CheckPath,
    port: Option<u16>,
    status: StatusSet,
    timeout: Duration,
}

impl Probe {
    pub(crate) fn new(settings: &Settings) -> Self {
        let config = agent_config(settings.timeout);
        let connector = DefaultConnector::default().chain(Introduction(settings.proxy_header));
        Self {
            agent: Agent::with_parts(config, connector, Literal),
            path: settings.path.clone(),
            port: settings.port,
            status: settings.status.clone(),
            timeout: settings.timeout,
        }
    }

    /// Checks the target at `address`.
    ///
    /// # Errors
    /// Why the target is not healthy.
    pub(crate) fn run(&self, address: SocketAddr) -> Result<(), Failure> {
        let asked = guard::call(|| self.ask(address));
        asked.unwrap_or_else(|panicked| Err(Failure::Other(panicked.to_string())))
    }

    fn ask(&self, address: SocketAddr) -> Result<(), Failure> {
        let address = SocketAddr::new(address.ip(), self.port.unwrap_or(address.port()));
        let request = self
            .agent
            .get(format!("http://{address}{}", self.path))
            .header("Host", address.to_string())
            .header("Connection", "close");
        let mut response = request.call().map_err(|error| self.failure(&error))?;
        let status = response.status().as_u16();
        if !self.status.contains(status) {
            return Err(Failure::Status(status));
        }
        // One byte, or the end.
        let mut start = response.body_mut().as_reader().take(1);
        match io::copy(&mut start, &mut io::sink()) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failure(&Error::from(error))),
        }
    }

    fn failure(&self, error: &Error) -> Failure {
        match error {
            Error::Timeout(_) => Failure::TimedOut(self.timeout),
            Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
                Failure::TimedOut(self.timeout)
            }
            Error::Io(error) if is_ours(error) => Failure::NotMade(error.to_string()),
            Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Failure::Other("connection refused".to_owned())
            }
            Error::Io(error) if error.kind() == io::ErrorKind::ConnectionReset => Failure::Reset,
            // What ureq says where the stream ends before a whole head has come.
            Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => Failure::NoAnswer,
            error => Failure::Other(Escaped(&error.to_string()).to_string()),
        }
    }
}

/// Why a check failed, as logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The target ended the connection before it had answered.
    NoAnswer,
    /// The target reset the connection.
    Reset,
    /// An answer, with a status that does not mean healthy.
    Status(u16),
    /// No answer within this time.
    TimedOut(Duration),
    /// It could not be made for want of a local port, a descriptor or memory: nothing is known of
    /// the target.
    NotMade(String),
    /// Anything else, without control characters.
    Other(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer => f.write_str("connection closed before a whole answer"),
            Self::Reset => f.write_str("connection reset"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::TimedOut(timeout) => write!(f, "timed out after {timeout:?}"),
            Self::NotMade(reason) => write!(f, "not made: {reason}"),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

/// Whether an error is about this machine and not about the target (connect(2), socket(2)).
fn is_ours(error: &io::Error) -> bool {
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
        .input_buffer_size(MAX_HEAD_BYTES)
        .output_buffer_size(SEND_BUFFER_BYTES)
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

/// The last link of the chain that makes connections: sends what goes before the request.
#[derive(Debug)]
struct Introduction(Option<ProxyHeader>);

impl<T: Transport> Connector<T> for Introduction {
    type Out = T;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        mut connected: Option<T>,
    ) -> Result<Option<T>, Error> {
        if let (Some(header), Some(transport)) = (self.0, &mut connected) {
            let header = header.as_bytes();
            transport.buffers().output()[..header.len()].copy_from_slice(header);
            transport.transmit_output(header.len(), details.timeout)?;
        }
        Ok(connected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;
    use std::thread;
    use std::time::Instant;

    /// Long enough for an answer on a machine that is busy otherwise.
    const TIMEOUT: Duration = Duration::from_secs(1);

    fn probe(proxy_header: Option<ProxyHeader>) -> Probe {
        Probe::new(&Settings {
            proxy_header,
            period: TIMEOUT,
            path: "/ping?a=b".parse().unwrap(),
            timeout: TIMEOUT,
            port: None,
            status: "200-399".parse().unwrap(),
            rise: 2,
            fall: 3,
        })
    }

    /// The result of a probe of a server that sends `answer` piece by piece, as long as it can,
    /// and then keeps the connection open if `lingers`; and the request's head.
    fn probe_against(
        host: &str,
        answer: impl Iterator<Item = &'static str> + Send + 'static,
        lingers: bool,
    ) -> (Result<(), Failure>, String) {
        introduced_probe_against(None, host, answer, lingers)
    }

    fn introduced_probe_against(
        proxy_header: Option<ProxyHeader>,
        host: &str,
        answer: impl Iterator<Item = &'static str> + Send + 'static,
        lingers: bool,
    ) -> (Result<(), Failure>, String) {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            // Version 2 of the PROXY protocol begins with an empty line, too.
            while head.len() <= 4 || !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let mut whole = true;
            for piece in answer {
                whole = whole && stream.write_all(piece.as_bytes()).is_ok();
                if !whole {
                    break;
                }
            }
            if whole && lingers {
                // Until the probe has closed.
                drop(stream.read(&mut [0]));
            }
            String::from_utf8(head).unwrap()
        });
        let started = Instant::now();
        let result = probe(proxy_header).run(address);
        assert!(started.elapsed() < TIMEOUT + Duration::from_secs(1), "{:?}", started.elapsed());
        (result, server.join().unwrap().replace(&address.to_string(), "ADDRESS"))
    }

    fn result_of(answer: &'static str, lingers: bool) -> Result<(), String> {
        let (result, _) = probe_against("127.0.0.1", [answer].into_iter(), lingers);
        result.map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_request_says_who_asks_whom() {
        for host in ["127.0.0.1", "::1"] {
            let (result, head) =
                probe_against(host, ["HTTP/1.1 204 No Content\r\n\r\n"].into_iter(), true);
            assert_eq!(result, Ok(()));
            let head = head.to_ascii_lowercase();
            assert!(head.starts_with("get /ping?a=b http/1.1\r\n"), "{head}");
            assert_eq!(head.matches("\r\nhost:").count(), 1, "{head}");
            assert!(head.contains("\r\nhost: address\r\n"), "{head}");
            assert!(head.contains("\r\nuser-agent: stateless-load-balancer/"), "{head}");
            assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
        }
    }

    #[test]
    fn a_proxy_header_goes_before_the_request() {
        for (header, bytes) in [
            (ProxyHeader::V1, "PROXY UNKNOWN\r\n"),
            (ProxyHeader::V2, "\r\n\r\n\0\r\nQUIT\n \0\0\0"),
        ] {
            let answer = ["HTTP/1.1 204 No Content\r\n\r\n"].into_iter();
            let (result, head) = introduced_probe_against(Some(header), "127.0.0.1", answer, true);
            assert_eq!(result, Ok(()));
            let request = head.strip_prefix(bytes).unwrap_or_else(|| panic!("{head:?}"));
            assert!(request.starts_with("GET /ping?a=b HTTP/1.1\r\n"), "{request:?}");
        }
    }

    #[test]
    fn the_status_decides() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Ok(())),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Ok(())),
            ("HTTP/1.0 200 OK\r\n\r\nok", Ok(())),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\nsome", Ok(())),
            (
                "HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n",
                Ok(()),
            ),
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Err("status 404")),
            ("HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\n", Err("status 503")),
            ("HTTP/1.1 407 Proxy\r\nContent-Length: 0\r\n\r\n", Err("status 407")),
        ] {
            assert_eq!(result_of(answer, true), expected.map_err(str::to_owned), "{answer}");
        }
    }

    #[test]
    fn a_body_that_does_not_begin_times_out() {
        let timed_out = Err("timed out after 1s".to_owned());
        assert_eq!(result_of("", true), timed_out);
        assert_eq!(result_of("HTTP/1.1 200 OK\r\n", true), timed_out);
        assert_eq!(result_of("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", true), timed_out);
    }

    #[test]
    fn dripped_bytes_do_not_extend_the_timeout() {
        let drip = || {
            thread::sleep(Duration::from_millis(20));
            "x"
        };
        let head = std::iter::once("HTTP/1.1 200 OK\r\nX: ");
        let (result, _) =
            probe_against("127.0.0.1", head.chain(std::iter::repeat_with(drip)), false);
        assert_eq!(result, Err(Failure::TimedOut(TIMEOUT)));
    }

    #[test]
    fn what_is_no_http_or_has_no_end_is_a_failure() {
        assert!(result_of("SSH-2.0-OpenSSH_9\r\n\r\n", true).is_err());
        let cut = Err("connection closed before a whole answer".to_owned());
        assert_eq!(result_of("", false), cut);
        assert_eq!(result_of("HTTP/1.1 200 OK\r\n", false), cut);
        let head = std::iter::once("HTTP/1.1 200 OK\r\n");
        let endless = head.chain(std::iter::repeat("X-Filler: 0123456789\r\n"));
        let (result, _) = probe_against("127.0.0.1", endless, false);
        assert!(matches!(result, Err(Failure::Other(_))), "{result:?}");
    }

    #[test]
    fn a_refused_connection_is_called_that() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let failure = probe(None).run(address).unwrap_err();
        assert_eq!(failure.to_string(), "connection refused");
    }

    #[test]
    fn a_reason_is_short_and_without_control_characters() {
        let error = io::Error::other(format!("a\r\n\x1b[31m{}", "x".repeat(5000)));
        let shown = probe(None).failure(&Error::Io(error)).to_string();
        assert!(shown.contains("a\\r\\n\\u{1b}[31mx"), "{shown}");
        assert!(shown.len() < 200 && !shown.contains(char::is_control), "{shown}");
    }

    #[test]
    fn what_this_machine_lacks_is_not_the_targets_fault() {
        for (errno, expected) in [
            (Errno::ADDRNOTAVAIL, "not made: Cannot assign requested address (os error 99)"),
            (Errno::MFILE, "not made: Too many open files (os error 24)"),
            (Errno::CONNREFUSED, "connection refused"),
        ] {
            let failure = probe(None).failure(&Error::Io(errno.into()));
            assert_eq!(failure.to_string(), expected);
            assert_eq!(matches!(failure, Failure::NotMade(_)), expected.starts_with("not made"));
        }
    }

    /// The last link of a chain that fails as no error says.
    #[derive(Debug)]
    struct Broken;

    impl<T: Transport> Connector<T> for Broken {
        type Out = T;

        fn connect(&self, _: &ConnectionDetails<'_>, _: Option<T>) -> Result<Option<T>, Error> {
            panic!("out of order")
        }
    }

    #[test]
    fn a_panic_of_the_library_is_a_failed_check() {
        let connector = DefaultConnector::default().chain(Broken);
        let agent = Agent::with_parts(agent_config(TIMEOUT), connector, Literal);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let failure = Probe { agent, ..probe(None) }.run(address).unwrap_err();
        assert_eq!(failure.to_string(), "a library panicked: out of order");
    }

    #[test]
    fn no_proxy_is_taken_from_the_environment() {
        assert!(agent_config(TIMEOUT).proxy().is_none());
    }
}
