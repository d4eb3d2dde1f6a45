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

/// Whether a process of another user listens on the port of `address`, as
/// `proc_pid_net(5)` tells.
pub(super) fn is_another_users(address: SocketAddr) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let texts = tables.iter().filter_map(|table| std::fs::read_to_string(table).ok());
    let mut users = texts.flat_map(|text| listening_users(&text, address.port()));
    users.any(|user| user != own)
}

/// The users who listen on `port`, from the lines of `/proc/net/tcp`.
fn listening_users(table: &str, port: u16) -> Vec<u32> {
    const LISTEN: &str = "0A";
    let user = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
        let is_there = u16::from_str_radix(local_port, 16).ok()? == port;
        (is_there && *fields.get(3)? == LISTEN).then(|| fields.get(7)?.parse().ok()).flatten()
    };
    table.lines().filter_map(user).collect()
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

    #[test]
    fn listeners_are_found_with_their_users() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n\
             0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 1\n\
             1: 0100007F:1F90 0100007F:8888 01 00000000:00000000 00:00000000 00000000  1001 0 2\n\
             2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1002 0 3\n";
        assert_eq!(listening_users(table, 8080), [1000]);
        assert_eq!(listening_users(table, 80), [0_u32; 0]);
    }
}
