use std::os::fd::OwnedFd;

use socket2::SockRef;

use crate::flow::Side;
use crate::worker::connection::Connection;

/// With more of a core's connections than this being held up, because somebody does not read, all
/// others are bounded in what they may make the kernel hold.
const HELD_UP_MAX: usize = 32;
/// The receive buffer of a connection that is bounded. The kernel doubles it, for its own needs
/// (socket(7)); `net.core.rmem_max` may allow less. With [`UNSENT_BYTES_MAX`] it makes less than 1 MB.
const RECEIVE_BUFFER_BYTES: usize = 320 * 1024;
/// How much may wait in such a connection's socket for its peer to make room (`TCP_NOTSENT_LOWAT` in
/// `Documentation/networking/ip-sysctl.rst`). What is in flight is not counted, so it does not limit
/// how fast a peer may read; but it costs bulk a quarter more CPU.
const UNSENT_BYTES_MAX: u32 = 128 * 1024;

/// How many connections are held up, and what follows for the kernel's memory. Left to itself it lets
/// a socket hold megabytes each way (tcp(7), `tcp_rmem` and `tcp_wmem`), which suits a few connections
/// that are far away and fast.
#[derive(Debug, Default)]
pub(in crate::worker) struct Pressure {
    /// Sides that nothing is received from, as of when they were last looked at: usually because
    /// their peers do not read.
    held_up: usize,
}

impl Pressure {
    /// Whether so many connections are held up that memory is to be thought of.
    pub(in crate::worker) fn is_high(&self) -> bool {
        self.held_up > HELD_UP_MAX
    }

    /// Looks whether a side is held up. It goes on being watched when it is not any more.
    pub(in crate::worker) fn note(&mut self, connection: &mut Connection, side: Side) {
        let is_held_up = connection.session.relay().half(side).is_held_up();
        self.set(connection, side, is_held_up);
    }

    /// A side is not watched any more.
    pub(super) fn forget(&mut self, connection: &mut Connection, side: Side) {
        self.set(connection, side, false);
    }

    fn set(&mut self, connection: &mut Connection, side: Side, is_held_up: bool) {
        let record = &mut connection.scan.is_held_up[side as usize];
        let was_held_up = std::mem::replace(record, is_held_up);
        self.held_up = self.held_up + usize::from(is_held_up) - usize::from(was_held_up);
    }

    /// Bounds a new connection if need be.
    pub(in crate::worker) fn bound_if_high(&self, socket: &OwnedFd) {
        if self.is_high() {
            bound(socket);
        }
    }
}

/// Bounds what a connection may make the kernel hold from now on. No more than a help: an error is
/// logged.
pub(in crate::worker) fn bound(socket: &OwnedFd) {
    let socket = SockRef::from(socket);
    let unsent = socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX);
    if let Err(error) = unsent.and_then(|()| socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)) {
        log::debug!("TCP_NOTSENT_LOWAT or SO_RCVBUF: {error}");
    }
}
