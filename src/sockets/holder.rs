//! Who listens on an address: what proc(5) tells of it.

use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;

/// A process that listens on an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pid: u32,
    /// The name of its file, escaped.
    program: String,
}

impl Holder {
    /// One that listens on `address`, or on addresses that it is among; `None` if nobody does, or
    /// this process may not see who.
    pub(crate) fn of(address: SocketAddr) -> Option<Self> {
        let sockets: Vec<_> = listening()
            .into_iter()
            .filter(|socket| collide(socket.address, address))
            .map(|socket| format!("socket:[{}]", socket.inode))
            .collect();
        let is_one = |link: &fs::DirEntry| {
            fs::read_link(link.path()).is_ok_and(|file| {
                sockets.iter().any(|it| it.as_bytes() == file.as_os_str().as_bytes())
            })
        };
        let processes = fs::read_dir("/proc").ok()?.map_while(Result::ok);
        let pids = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
        let holds = |pid: &u32| {
            // Those of others cannot be looked into, and processes end meanwhile.
            fs::read_dir(format!("/proc/{pid}/fd"))
                .is_ok_and(|mut files| files.any(|file| file.is_ok_and(|file| is_one(&file))))
        };
        if sockets.is_empty() {
            return None;
        }
        let pid = pids.filter(|&pid| pid != std::process::id()).find(holds)?;
        let file = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        // As the kernel shows a file that was replaced.
        let name = name.trim_end_matches(" (deleted)");
        Some(Self { pid, program: name.escape_debug().to_string() })
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({})", self.pid, self.program)
    }
}

/// Whether a process of another user listens on the port of `address`.
pub(crate) fn is_another_users(address: SocketAddr) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let mut sockets = listening().into_iter().filter(|it| it.address.port() == address.port());
    sockets.any(|socket| socket.user != own)
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Listening {
    address: SocketAddr,
    user: u32,
    inode: u64,
}

/// All sockets of this network namespace that listen: `proc_pid_net(5)`.
fn listening() -> Vec<Listening> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().map(fs::read_to_string);
    tables.flatten().flat_map(|table| table.lines().filter_map(parse).collect::<Vec<_>>()).collect()
}

/// A line of such a table, if it is about a socket that listens.
fn parse(line: &str) -> Option<Listening> {
    const LISTEN: &str = "0A";
    let fields: Vec<_> = line.split_ascii_whitespace().collect();
    if *fields.get(3)? != LISTEN {
        return None;
    }
    let (ip, port) = fields.get(1)?.split_once(':')?;
    let address = SocketAddr::new(parse_ip(ip)?, u16::from_str_radix(port, 16).ok()?);
    Some(Listening {
        address,
        user: fields.get(7)?.parse().ok()?,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// Words of 32 bits in hexadecimal, whose bytes are in memory as on the wire.
fn parse_ip(text: &str) -> Option<IpAddr> {
    let word =
        |at: usize| u32::from_str_radix(text.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    match text.len() {
        8 => Some(IpAddr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

/// Whether nobody could tell which of the two a client means.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let (ours, theirs) = (a.ip().to_canonical(), b.ip().to_canonical());
    let is_any = ours.is_unspecified() || theirs.is_unspecified();
    a.port() == b.port() && (ours == theirs || is_any)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn lines_about_listeners_are_read() {
        let line = "0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 \
                    0 4711 1 0 100 0 0 10 0";
        let of_ipv6 = "1: B80D0120000000000000000001000000:1F91 \
                       00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 \
                       00000000 0 0 12 1 0";
        if cfg!(target_endian = "little") {
            let address = "127.0.0.1:8080".parse().unwrap();
            assert_eq!(parse(line), Some(Listening { address, user: 1000, inode: 4711 }));
            let address = "[2001:db8::1]:8081".parse().unwrap();
            assert_eq!(parse(of_ipv6), Some(Listening { address, user: 0, inode: 12 }));
        }
        assert_eq!(parse(&line.replace(" 0A ", " 01 ")), None, "a connection");
        assert_eq!(parse("  sl  local_address rem_address   st tx_queue rx_queue tr"), None);
    }

    #[test]
    fn only_addresses_that_clients_could_take_for_one_another_collide() {
        let collide = |a: &str, b: &str| collide(a.parse().unwrap(), b.parse().unwrap());
        for (a, b) in [
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "127.0.0.1:1"),
            ("[::ffff:127.0.0.1]:1", "127.0.0.1:1"),
        ] {
            assert!(collide(a, b) && collide(b, a), "{a} {b}");
        }
        assert!(!collide("127.0.0.1:1", "127.0.0.2:1") && !collide("127.0.0.1:1", "127.0.0.1:2"));
    }

    #[test]
    fn a_process_that_listens_is_found_by_its_address() {
        // A child's: this process itself is never the other one.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(Holder::of(port), None);
        let listener = TcpListener::bind(port).unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .stdin(std::os::fd::OwnedFd::from(listener))
            .spawn()
            .unwrap();
        let holder = Holder::of(port);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(holder, Some(Holder { pid: child.id(), program: "sleep".to_owned() }));
    }
}
