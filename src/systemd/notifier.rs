use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Tells a service manager how things are, as `sd_notify(3)` says.
#[derive(Debug)]
pub(crate) struct Notifier {
    socket: UnixDatagram,
    manager: SocketAddr,
}

/// What a manager is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The start is over, and how things are.
    Ready(String),
    /// How things are, in one line.
    Status(String),
    /// The graceful end has begun, and is over within this time: no manager has to know better.
    Stopping(Duration),
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

    /// Tells it; a line in the log if it cannot be told. False if it may be told later: too much waits
    /// for it to be read (unix(7), `max_dgram_qlen`).
    pub(crate) fn tell(&self, notice: &Notice) -> bool {
        let text = match notice {
            Notice::Ready(status) => format!("READY=1\nSTATUS={status}"),
            Notice::Status(status) => format!("STATUS={status}"),
            Notice::Stopping(within) => format!(
                "STOPPING=1\nEXTEND_TIMEOUT_USEC={}\nSTATUS=Open connections go on to their end",
                within.as_micros()
            ),
            Notice::Alive => "WATCHDOG=1".to_owned(),
        };
        let sent = self.socket.send_to_addr(text.as_bytes(), &self.manager);
        if let Err(error) = &sent {
            log::warn!("the service manager does not hear that {notice:?}: {error}");
        }
        !sent.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

fn manager(address: &OsStr) -> io::Result<SocketAddr> {
    match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(address),
        _ => Err(io::Error::other("neither a path from / on nor a name behind @")),
    }
}
