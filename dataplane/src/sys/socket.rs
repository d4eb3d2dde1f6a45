use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use socket2::SockAddr;

/// Bytes in a TCP socket's send queue that the peer has not acknowledged (SIOCOUTQ, tcp(7)); 0 if
/// the socket is no longer connected.
pub(crate) fn send_queue_bytes(socket: &OwnedFd) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQ (which has the number of TIOCOUTQ) writes one int to where it is told, and
    // `bytes` is one that lives across the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 { usize::try_from(bytes).unwrap_or(0) } else { 0 }
}

/// Bytes that a connection's peer has acknowledged so far (`tcpi_bytes_acked` of `TCP_INFO`, tcp(7)); 0
/// if that cannot be had.
pub(crate) fn acknowledged_bytes(socket: &OwnedFd) -> u64 {
    /// Where it stands in `struct tcp_info` of `linux/tcp.h`, which only ever grows at its end.
    const OFFSET: usize = 120;
    let mut info = [0_u8; OFFSET + size_of::<u64>()];
    let mut length = socklen::<[u8; OFFSET + size_of::<u64>()]>();
    let (fd, level, name) = (socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO);
    // SAFETY: the kernel writes at most `length` bytes to `info`, which has as many, and the count of
    // what it has written to `length`; both live across the call.
    let result =
        unsafe { libc::getsockopt(fd, level, name, (&raw mut info).cast(), &raw mut length) };
    let bytes = info.last_chunk().filter(|_| result == 0);
    bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

/// Where a connection comes from, also once its peer has reset it: `SO_PEERNAME`, where getpeername(2)
/// says ENOTCONN by then (`inet_getname` of the kernel's `net/ipv4/af_inet.c`). An IPv4-mapped
/// address is IPv4.
///
/// # Errors
/// As getsockopt(2); ENOTCONN if it is of no IP family or never was connected.
pub(crate) fn peer_address(socket: &OwnedFd) -> io::Result<SocketAddr> {
    // The kernel refuses to write less than it is asked for: first what every address has.
    let address = match peer_name(socket, socklen::<libc::sockaddr_in>())? {
        address if address.is_ipv6() => peer_name(socket, socklen::<libc::sockaddr_in6>())?,
        address => address,
    };
    let address = address.as_socket().filter(|address| address.port() != 0);
    let address = address.ok_or(io::ErrorKind::NotConnected)?;
    Ok(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// The first `bytes` bytes of the peer's address; the others are 0.
fn peer_name(socket: &OwnedFd, bytes: libc::socklen_t) -> io::Result<SockAddr> {
    let (fd, level, name) = (socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERNAME);
    // SAFETY: `try_init` passes pointers to a zeroed storage for addresses and to its length, which
    // live across the call. The kernel writes at most `length` bytes to the one, and their number to
    // the other; `bytes` is less than the storage has. Zero is a value of all that it leaves alone.
    let ((), address) = unsafe {
        SockAddr::try_init(|address, length| {
            length.write(bytes);
            match libc::getsockopt(fd, level, name, address.cast(), length) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        })
    }?;
    Ok(address)
}

/// Another descriptor of what the process was started with as descriptor `number`. Neither goes on to
/// a program that the process might start.
///
/// # Errors
/// As fcntl(2): EBADF if there is no such descriptor.
pub(crate) fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl with F_SETFD takes and returns plain numbers; where `number` is no descriptor it
    // says so.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above. Whoever owns `number` goes on owning it.
    let duplicate = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 0) };
    if duplicate < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(duplicate) })
}

/// Has the kernel choose the local port at connect instead of bind, so that a port can serve one
/// connection to each target (`IP_BIND_ADDRESS_NO_PORT`, ip(7); it works on IPv6 sockets too).
///
/// # Errors
/// As setsockopt(2).
pub(crate) fn bind_address_without_port(socket: &impl AsRawFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = socklen::<libc::c_int>();
    let (fd, level, name) = (socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT);
    // SAFETY: the kernel reads one int from where it is told, and `on` is one that lives across
    // the call.
    let result = unsafe { libc::setsockopt(fd, level, name, (&raw const on).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What the kernel has dropped at a listener so far: connections, because its queue was full, but
/// also stray segments and handshakes that were never completed. It wraps around. `SO_MEMINFO` of
/// socket(7), `SK_MEMINFO_DROPS` of `linux/sock_diag.h`.
///
/// # Errors
/// As getsockopt(2).
pub(crate) fn listen_drops(listener: BorrowedFd<'_>) -> io::Result<u32> {
    const SK_MEMINFO_DROPS: usize = 8;
    let mut values = [0_u32; SK_MEMINFO_DROPS + 1];
    let mut length = socklen::<[u32; SK_MEMINFO_DROPS + 1]>();
    let (fd, level, name) = (listener.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO);
    // SAFETY: the kernel writes at most `length` bytes to `values`, which has as many, and the
    // count of what it has written to `length`; both live across the call.
    let result =
        unsafe { libc::getsockopt(fd, level, name, (&raw mut values).cast(), &raw mut length) };
    if result == 0 { Ok(values[SK_MEMINFO_DROPS]) } else { Err(io::Error::last_os_error()) }
}

fn socklen<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).expect("options are small")
}
