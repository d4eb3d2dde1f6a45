use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::sockets::reachable;

/// The metric that only a balancer has.
const BUILD_INFO: &str = "load_balancer_build_info{version=\"";

/// An admin server is on the same machine: it answers at once, or is none.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Thousands of targets have a line or two each.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// An instance of the balancer that runs already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instance {
    version: String,
}

impl Instance {
    /// The one whose admin server listens on `admin`; `None` if what listens there is no balancer,
    /// or does not answer.
    pub(super) fn at(admin: SocketAddr) -> Option<Self> {
        let metrics = get_metrics(reachable(admin)).ok()?;
        Self::of(&String::from_utf8_lossy(&metrics))
    }

    fn of(metrics: &str) -> Option<Self> {
        let rest = metrics.lines().find_map(|line| line.strip_prefix(BUILD_INFO))?;
        let version = rest.split('"').next()?.escape_debug().to_string();
        Some(Self { version })
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a running instance of this balancer (version {})", self.version)
    }
}

/// The whole answer, head and body.
fn get_metrics(address: SocketAddr) -> io::Result<Vec<u8>> {
    let ends = Instant::now() + ANSWER_TIMEOUT;
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    let head = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let (mut answer, mut piece) = (Vec::new(), vec![0; 16 << 10]);
    while answer.len() < ANSWER_BYTES_MAX {
        let left = ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece)? {
            0 => break,
            bytes => answer.extend_from_slice(&piece[..bytes]),
        }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_known_by_its_build_info() {
        let metrics =
            "HTTP/1.1 200 OK\r\n\r\n# HELP x\nload_balancer_build_info{version=\"1.2.3\"} 1\n";
        assert_eq!(Instance::of(metrics), Some(Instance { version: "1.2.3".to_owned() }));
        assert_eq!(Instance::of("HTTP/1.1 404 Not Found\r\n\r\n"), None);
    }
}
