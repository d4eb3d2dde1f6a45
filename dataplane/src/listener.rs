use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use socket2::{Domain, Protocol, Socket, Type};

/// A socket that clients connect to, one of a `SO_REUSEPORT` group: the kernel spreads connections
/// over the group. Bound, but not listening at first.
#[derive(Debug)]
pub struct Listener(Socket);

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
        Ok(Self(socket))
    }

    /// Starts to queue connections, at most `backlog` (and at most `net.core.somaxconn`).
    ///
    /// # Errors
    /// As listen(2).
    pub(crate) fn listen(&self, backlog: u32) -> io::Result<()> {
        self.0.listen(i32::try_from(backlog).unwrap_or(i32::MAX))
    }

    /// Another descriptor of the same socket.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// A connection that is queued already, if there is one. Makes the socket non-blocking.
    pub(crate) fn accept_queued(&self) -> Option<OwnedFd> {
        if let Err(error) = self.0.set_nonblocking(true) {
            log::warn!("taking queued connections: {error}");
            return None;
        }
        loop {
            // Accepted sockets are blocking, as io_uring wants them: they don't inherit that.
            match self.0.accept() {
                Ok((socket, _)) => return Some(socket.into()),
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
        self.0.as_fd()
    }
}
