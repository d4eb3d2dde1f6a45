use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Tells a service manager how things are, as `sd_notify(3)` says.
#[derive(Debug)]
pub(crate) struct Notifier {
    socket: UnixDatagram,
    manager: SocketAddr,
}

/// What a manager is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Clients are served.
    Ready,
    /// The graceful end has begun.
    Stopping,
    /// All is well.
    Alive,
}

impl Notifier {
    /// One for the manager at `address`, a path or an abstract name behind `@`; `None`, with a line
    /// in the log, if that is no such address.
    pub(crate) fn to(address: &OsString) -> Option<Self> {
        let made = manager(address).and_then(|manager| {
            let socket = UnixDatagram::unbound()?;
            // Nothing waits for a manager that does not read.
            socket.set_nonblocking(true)?;
            Ok(Self { socket, manager })
        });
        let warn = |error| {
            log::warn!("NOTIFY_SOCKET={} cannot be used: {error}", address.display());
        };
        made.map_err(warn).ok()
    }

    /// Tells it; a line in the log if it cannot be told.
    pub(crate) fn tell(&self, notice: Notice) {
        let text = match notice {
            Notice::Ready => "READY=1\nSTATUS=Clients are served",
            Notice::Stopping => "STOPPING=1\nSTATUS=Open connections go on to their end",
            Notice::Alive => "WATCHDOG=1",
        };
        if let Err(error) = self.socket.send_to_addr(text.as_bytes(), &self.manager) {
            log::warn!("the service manager does not hear that {notice:?}: {error}");
        }
    }
}

fn manager(address: &OsStr) -> io::Result<SocketAddr> {
    match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(address),
        _ => Err(io::Error::other("neither a path from / on nor a name behind @")),
    }
}
