use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use super::message::{Message, exchange};
use super::wait_until;
use crate::support::port::Port;
use crate::support::skip;

/// The variable that names a Python with moto.
const PYTHON: &str = "SLB_TEST_PYTHON";

/// A moto server. It ends with this, and with the process.
pub(crate) struct Moto {
    port: Port,
    server: Child,
}

impl Moto {
    /// One for all tests; `None`, and the calling test is skipped, where there is no moto.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Moto> = OnceLock::new();
        let python = python()?;
        Some(SHARED.get_or_init(|| Self::start(&python)))
    }

    /// One for the calling test alone; `None` as above.
    pub(crate) fn own() -> Option<Self> {
        python().map(|python| Self::start(&python))
    }

    fn start(python: &str) -> Self {
        let port = Port::free();
        let server = serve(python, &port);
        Self { port, server }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.port.local()
    }

    /// From now on the ids it gives are the same each time. For a moto of one's own.
    pub(crate) fn seed(&self) {
        let start = "POST /moto-api/seed?a=42 HTTP/1.1".to_owned();
        let headers = vec!["Host: moto".to_owned()];
        let seed = Message { start, headers, ..Message::default() };
        assert_eq!(exchange(self.address(), &seed).unwrap().status(), 200);
    }

    /// Ends it at once; it forgets everything.
    pub(crate) fn kill(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    /// Starts it again after [`Self::kill`].
    pub(crate) fn restart(&mut self) {
        self.server = serve(&python().unwrap(), &self.port);
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.kill();
    }
}

fn python() -> Option<String> {
    let python = std::env::var(PYTHON).ok().filter(|python| !python.is_empty());
    if python.is_none() {
        skip(&format!(
            "{PYTHON} names no Python with moto: scripts/test.sh installs it where a package \
             index is within reach"
        ));
    }
    python
}

fn serve(python: &str, port: &Port) -> Child {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aws/serve_moto.py");
    let server = Command::new(python)
        .arg(script)
        .arg(port.text())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut server = server.unwrap_or_else(|error| panic!("cannot run {python}: {error}"));
    wait_until("moto serves", || {
        let ended = server.try_wait().unwrap();
        assert!(ended.is_none(), "moto ended with {ended:?}");
        TcpStream::connect(port.local()).is_ok()
    });
    server
}
