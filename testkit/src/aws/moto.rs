//! [moto](https://docs.getmoto.org), a server that speaks the APIs of AWS.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use crate::http::request;
use crate::net::port::Port;
use crate::skip::skip;
use crate::wait::wait_until;

/// The variable that names a Python with moto.
const PYTHON: &str = "SLB_TEST_PYTHON";

/// A moto server. It ends with this, and with the process.
#[derive(Debug)]
pub struct Moto {
    port: Port,
    server: Child,
}

impl Moto {
    /// One for all tests; `None`, and the calling test is skipped, where there is no moto.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Moto> = OnceLock::new();
        let python = python()?;
        Some(SHARED.get_or_init(|| Self::start(&python)))
    }

    /// One for the calling test alone; `None` as above.
    pub fn own() -> Option<Self> {
        python().map(|python| Self::start(&python))
    }

    fn start(python: &str) -> Self {
        let port = Port::free();
        let server = serve(python, &port);
        Self { port, server }
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.port.local()
    }

    /// From now on the ids it gives are the same each time. For a moto of one's own.
    pub fn seed(&self) {
        let seeded = request(self.address(), "POST", "/moto-api/seed?a=42").unwrap();
        assert_eq!(seeded.status, 200);
    }

    /// Ends it at once; it forgets everything.
    pub fn kill(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    /// Starts it again after [`Self::kill`].
    pub fn restart(&mut self) {
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
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/aws/serve_moto.py");
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
