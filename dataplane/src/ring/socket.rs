use std::os::fd::{AsRawFd, OwnedFd};

/// Bytes in a TCP socket's send queue that the peer has not acknowledged (SIOCOUTQ, tcp(7)); 0 if
/// the socket is no longer connected.
pub(crate) fn send_queue_bytes(socket: &OwnedFd) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQ (which has the number of TIOCOUTQ) writes one int to where it is told, and
    // `bytes` is one that lives across the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 { usize::try_from(bytes).unwrap_or(0) } else { 0 }
}
