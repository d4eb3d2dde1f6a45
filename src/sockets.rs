//! The sockets of the process: all are bound before the first one listens.

mod holder;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use dataplane::Listener;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::{Config, ConfigError, Problem, table as var};

pub(crate) use holder::{Holder, is_another_users};

/// Most clients that wait for the admin server.
const ADMIN_BACKLOG: i32 = 128;

/// Every socket that clients or operators connect to; none listens yet.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// For each core, in the order of [`Config::cpus`], one for each service.
    pub(crate) listeners: Vec<Vec<Listener>>,
    /// Where the admin server will listen.
    pub(crate) admin: Option<AdminSocket>,
}

impl Sockets {
    /// Binds them all; clients connect to the sockets that the process was started with, one for each
    /// service, if there are any.
    ///
    /// # Errors
    /// The variables whose values cannot be bound to.
    pub(crate) fn bind(config: &Config, inherited: &[Listener]) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let mut listeners: Vec<Vec<_>> = config.cpus.iter().map(|_| Vec::new()).collect();
        let mut shared = Vec::new();
        for (place, &address) in config.listen.iter().enumerate() {
            let inherited = inherited.get(place);
            if inherited.is_none() && port_has_users(address) {
                if !config.overlap {
                    // It has come since the start-up checks.
                    problems.push(shared_problem(address));
                    continue;
                }
                shared.push(address);
            }
            for of_core in &mut listeners {
                let listener = match inherited {
                    Some(listener) => listener.try_clone(),
                    None => Listener::bind(address),
                };
                match listener {
                    Ok(listener) => of_core.push(listener),
                    Err(error) => {
                        problems.push(client_problem(address, &error));
                        break;
                    }
                }
            }
        }
        let admin = config.admin.map(|address| {
            AdminSocket::bind(address).map_err(|error| admin_problem(address, &error))
        });
        let admin = admin.transpose().map_err(|problem| problems.push(problem));
        if !problems.is_empty() {
            return Err(ConfigError(problems));
        }
        for address in shared {
            log::info!(
                "{} listens on {address}, too: as soon as a target may get clients they are shared \
                 with it, until it ends (OVERLAP)",
                holder(address)
            );
        }
        Ok(Self { listeners, admin: admin.ok().flatten() })
    }
}

/// The admin server's socket, bound.
#[derive(Debug)]
pub(crate) struct AdminSocket {
    socket: Socket,
    address: SocketAddr,
}

impl AdminSocket {
    fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { socket: bound(address)?, address })
    }

    /// Lets operators connect.
    ///
    /// # Errors
    /// Another program began to listen there after the bind.
    pub(crate) fn listen(self) -> Result<TcpListener, ConfigError> {
        let listening = self.socket.listen(ADMIN_BACKLOG);
        listening.map_err(|error| ConfigError(vec![admin_problem(self.address, &error)]))?;
        Ok(self.socket.into())
    }
}

/// Where clients on this machine reach a server that listens on `address`.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// What to say of a second process on `address`.
pub(crate) fn shared_problem(address: SocketAddr) -> Problem {
    let reason = format!(
        "is in use: {} listens on {address}, and clients would go to either; accepted: a free port, \
         or OVERLAP=true to take over from it, as in a rolling restart",
        holder(address)
    );
    Problem::new(var::PORT.name(), Some(&address.port().to_string()), &reason).temporary_if(true)
}

/// Who listens there, for people.
fn holder(address: SocketAddr) -> String {
    Holder::of(address).map_or_else(|| "another process".to_owned(), |holder| holder.to_string())
}

/// What to say when clients cannot connect to `address`.
pub(crate) fn client_problem(address: SocketAddr, error: &io::Error) -> Problem {
    let holder = "another program, or this one under another user,";
    let accepted = "a free port";
    problem(var::HOST.name(), var::PORT.name(), address, error, [holder, accepted])
}

pub(crate) fn admin_problem(address: SocketAddr, error: &io::Error) -> Problem {
    let holder = "another program, perhaps a running instance of this balancer,";
    let accepted = "a free port; a further instance needs an ADMIN_PORT of its own";
    problem(var::ADMIN_HOST.name(), var::ADMIN_PORT.name(), address, error, [holder, accepted])
}

/// Where the port is in use, `holder` may be who has it, and `accepted` is what would do.
fn problem(
    host: &'static str,
    port: &'static str,
    address: SocketAddr,
    error: &io::Error,
    [holder, accepted]: [&str; 2],
) -> Problem {
    let (ip_text, port_text) = (address.ip().to_string(), address.port().to_string());
    let problem = match error.kind() {
        io::ErrorKind::AddrInUse => {
            let reason = format!("is in use: {holder} listens on {address}; accepted: {accepted}");
            Problem::new(port, Some(&port_text), &reason)
        }
        io::ErrorKind::PermissionDenied => {
            let reason = format!(
                "is a privileged port and this user may not bind to it ({error}); accepted: a port \
                 from {} up, or any with CAP_NET_BIND_SERVICE: sudo setcap \
                 cap_net_bind_service=+ep {}",
                first_unprivileged_port(),
                own_path()
            );
            Problem::new(port, Some(&port_text), &reason)
        }
        io::ErrorKind::AddrNotAvailable => {
            let reason = "is no address of this machine; accepted: a local address, 0.0.0.0 or ::";
            Problem::new(host, Some(&ip_text), reason)
        }
        _ => {
            let reason = format!(
                "cannot be bound to with {port}={port_text} ({error}); accepted: a local address, \
                 0.0.0.0 or ::"
            );
            Problem::new(host, Some(&ip_text), &reason)
        }
    };
    problem.temporary_if(may_pass(error))
}

/// Whether a bind(2) or listen(2) that failed may succeed later. An address may be configured after
/// the process has started; one of IPv6 is not there while duplicates are looked for (RFC 4862, 5.4).
pub(crate) fn may_pass(error: &io::Error) -> bool {
    let passing = [
        Errno::ADDRINUSE,
        Errno::ADDRNOTAVAIL,
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
    ];
    Errno::from_io_error(error).is_some_and(|errno| passing.contains(&errno))
}

/// Where every user may bind: ip(7), for both families.
fn first_unprivileged_port() -> u16 {
    const SYSCTL: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    // Linux' own default.
    std::fs::read_to_string(SYSCTL).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1024)
}

/// This program's file, as a shell takes it.
fn own_path() -> String {
    let path = std::env::current_exe().unwrap_or_else(|_| env!("CARGO_PKG_NAME").into());
    let path = path.to_string_lossy().into_owned();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if path.chars().all(is_plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

/// Whether some process listens on `address` already. Without `SO_REUSEPORT` a bind fails then,
/// though one with it succeeds if that process shares the port (socket(7)).
pub(crate) fn port_has_users(address: SocketAddr) -> bool {
    bound(address).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

/// A socket bound to `address`, in spite of connections in `TIME_WAIT`, that does not share it.
pub(crate) fn bound(address: SocketAddr) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(share: bool) -> (Socket, SocketAddr) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_port(share).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(1).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        (socket, address)
    }

    #[test]
    fn a_shared_port_is_noticed() {
        let (other, address) = listening(true);
        assert!(port_has_users(address));
        drop(other);
        assert!(!port_has_users(address));
    }

    #[test]
    fn bind_errors_name_the_variable_the_value_and_the_cause() {
        let (_other, address) = listening(false);
        let error = AdminSocket::bind(address).unwrap_err();
        let shown = admin_problem(address, &error).to_string();
        assert!(shown.starts_with(&format!("ADMIN_PORT=\"{}\" is in use", address.port())));
        // TEST-NET-1 of RFC 5737: no machine has it.
        let elsewhere = "192.0.2.1:0".parse().unwrap();
        let error = AdminSocket::bind(elsewhere).unwrap_err();
        let shown = client_problem(elsewhere, &error).to_string();
        assert!(shown.starts_with("HOST=\"192.0.2.1\" is no address of this machine"), "{shown}");
    }
}
