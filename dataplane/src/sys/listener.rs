use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use log::Level;
use rustix::net::{SocketType, ipproto, sockopt};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::socket;

/// A socket that clients connect to.
///
/// Either one of a `SO_REUSEPORT` group of sockets, over which the kernel spreads connections: bound,
/// but not listening at first. Or one that the process was started with and that others listen on,
/// too: at the end, what is queued on it is theirs.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    is_inherited: bool,
}

impl Listener {
    /// Binds one more socket of the `SO_REUSEPORT` group of `address`.
    ///
    /// # Errors
    /// As bind(2): the address is in use by a program that does not share it, or is not local.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // Accepted sockets inherit it: no system call for each.
        socket.set_tcp_nodelay(true)?;
        socket.bind(&address.into())?;
        Ok(Self { socket, is_inherited: false })
    }

    /// The socket that the process was started with as descriptor `number` (`sd_listen_fds(3)`), and
    /// its address.
    ///
    /// # Errors
    /// There is no such descriptor, or it is no TCP socket that listens.
    pub fn inherited(number: RawFd) -> io::Result<(Self, SocketAddr)> {
        let socket = socket::inherited(number)?;
        let is_listening = sockopt::socket_type(&socket)? == SocketType::STREAM
            && sockopt::socket_protocol(&socket)? == Some(ipproto::TCP)
            && sockopt::socket_acceptconn(&socket)?;
        let socket = Socket::from(socket);
        let address = socket.local_addr()?.as_socket();
        let Some(address) = address.filter(|_| is_listening) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no TCP socket that listens"));
        };
        // On a non-blocking socket the ring's accepts would not wait.
        socket.set_nonblocking(false)?;
        socket.set_tcp_nodelay(true)?;
        Ok((Self { socket, is_inherited: true }, address))
    }

    /// Another descriptor of the same socket.
    ///
    /// # Errors
    /// As fcntl(2): descriptors have run out.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone()?, is_inherited: self.is_inherited })
    }

    /// Starts to queue connections, at most `backlog` (and at most `net.core.somaxconn`).
    ///
    /// # Errors
    /// As listen(2).
    pub(crate) fn listen(&self, backlog: u32) -> io::Result<()> {
        if self.is_inherited {
            // It does already, with a queue as long as its owner wants it.
            return Ok(());
        }
        self.socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))
    }

    /// Whether other cores and processes accept from the same socket.
    pub(crate) fn is_inherited(&self) -> bool {
        self.is_inherited
    }

    /// Keeps handshakes from being completed here, so that nothing is queued any more, if others of the
    /// group are going to complete them (`tcp_migrate_req` of the kernel's ip-sysctl). True if so.
    ///
    /// A handshake that is completed at the very moment its listener is closed ends in a reset, since
    /// the kernel finds the queue gone that it had chosen: about one in a thousand restarts under
    /// load. But one whose last segment got lost is completed on another listener when that segment
    /// is sent again, after 0.2 s. So, for a moment, the last segments get lost.
    pub(crate) fn hold_handshakes(&self) -> bool {
        if self.is_inherited || !others_complete_handshakes() {
            return false;
        }
        self.lose_last_segments()
            .inspect_err(|error| {
                // Linux 6.18 wants CAP_NET_ADMIN for a filter on a TCP socket. Who has no other
                // process on the port loses nothing by that, and would be warned at each stop.
                let (level, remedy) = match error.kind() {
                    io::ErrorKind::PermissionDenied => (Level::Info, "; CAP_NET_ADMIN spares them that"),
                    _ => (Level::Warn, ""),
                };
                log::log!(
                    level,
                    "clients that are connecting may be reset as the listener closes: {error}{remedy}"
                );
            })
            .is_ok()
    }

    fn lose_last_segments(&self) -> io::Result<()> {
        self.socket.attach_filter(&ONLY_SYN)
    }

    /// A connection that is queued already, if there is one. Makes the socket non-blocking.
    ///
    /// What waits on an inherited socket is for those who come after this process.
    pub(crate) fn accept_queued(&self) -> Option<OwnedFd> {
        if self.is_inherited {
            return None;
        }
        if let Err(error) = self.socket.set_nonblocking(true) {
            log::warn!("taking queued connections: {error}");
            return None;
        }
        loop {
            // Accepted sockets are blocking, as io_uring wants them: they don't inherit that.
            match self.socket.accept() {
                Ok((socket, _)) => {
                    // It may have inherited the filter. Mostly there is none: that is the error.
                    let _ = socket.detach_filter();
                    return Some(socket.into());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if is_about_one_connection(&error) => {}
                Err(error) => {
                    log::warn!("taking queued connections: {error}");
                    return None;
                }
            }
        }
    }
}

/// Passes segments with a SYN and no others: a listener's filter sees TCP headers (RFC 9293, 3.1).
const ONLY_SYN: [SockFilter; 4] = {
    // Classic BPF, as in linux/filter.h.
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const FLAGS: u32 = 13;
    const SYN: u32 = 2;
    [
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(JUMP_IF_SET, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
};

fn others_complete_handshakes() -> bool {
    let setting = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_migrate_req");
    setting.is_ok_and(|setting| setting.trim() != "0")
}

/// Whether the error of an accept concerns only the connection that it would have been
/// (accept(2), "Error handling").
pub(crate) fn is_about_one_connection(error: &io::Error) -> bool {
    let resources = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    let ours = [libc::EBADF, libc::EINVAL, libc::ENOTSOCK, libc::EFAULT, libc::EOPNOTSUPP];
    let errno = error.raw_os_error().unwrap_or(0);
    !resources.contains(&errno) && !ours.contains(&errno)
}

/// Whether an accept failed for want of descriptors or memory.
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    let resources = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error.raw_os_error().is_some_and(|errno| resources.contains(&errno))
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_handshake_that_is_held_is_completed_later() {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        listener.listen(8).unwrap();
        let address = listener.socket.local_addr().unwrap().as_socket().unwrap();
        let _early = TcpStream::connect(address).unwrap();
        listener.lose_last_segments().unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"hello").unwrap();
        // On loopback the segments have arrived when these calls return.
        assert!(listener.accept_queued().is_some());
        assert!(listener.accept_queued().is_none());
        // What happens elsewhere once the listener is closed.
        listener.socket.detach_filter().unwrap();
        let began = Instant::now();
        let accepted = loop {
            if let Some(accepted) = listener.accept_queued() {
                break accepted;
            }
            assert!(began.elapsed() < Duration::from_secs(10));
            std::thread::yield_now();
        };
        let mut bytes = [0; 5];
        TcpStream::from(accepted).read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, *b"hello");
    }
}
