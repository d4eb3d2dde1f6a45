use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use super::Balancer;
use crate::net::address::{ports, unique};
use crate::net::port::Port;
use crate::process::{Ended, Process, end};

/// The binary under test.
#[derive(Clone, Copy, Debug)]
pub struct Binary {
    path: &'static str,
}

/// The [`Binary`] under test, whose path only tests of its own package know.
#[macro_export]
macro_rules! binary {
    () => {
        $crate::balancer::Binary::at(env!("CARGO_BIN_EXE_stateless-load-balancer"))
    };
}

/// Quick checks; everything else is as users get it.
const ENVIRONMENT: [(&str, &str); 3] =
    [("HEALTH_CHECK_PERIOD", "50ms"), ("NODE_CHECK_PERIOD", "100ms"), ("NODE_FILTER", "static")];

/// A program of python3(1): binds a socket to each port, and becomes the binary with them from
/// descriptor 3 up (`sd_listen_fds(3)`).
const PASS_SOCKETS: &str = "
import fcntl, os, socket, sys
binary, host, *ports = sys.argv[1:]
sockets = [socket.create_server((host, int(port)), backlog=4096) for port in ports]
high = [fcntl.fcntl(it, fcntl.F_DUPFD_CLOEXEC, 100) for it in sockets]
for number, descriptor in enumerate(high, 3):
    os.dup2(descriptor, number)
os.environ.update(LISTEN_FDS=str(len(ports)), LISTEN_PID=str(os.getpid()))
os.execv(binary, [binary])
";

impl Binary {
    /// The one at `path`; see [`binary!`](crate::binary).
    pub const fn at(path: &'static str) -> Self {
        Self { path }
    }

    /// Where it is.
    pub const fn path(self) -> &'static str {
        self.path
    }

    /// It with nothing in its environment but ports that are free: nothing of the user's leaks into a
    /// test, and what else runs on the machine does not matter. Commands of one test have the same
    /// ports.
    pub fn command(self) -> Command {
        alone(Command::new(self.path))
    }

    /// The same, started by this script of sh(1), in which it is `"$0"`.
    pub fn shell(self, script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, self.path]);
        alone(shell)
    }

    /// Runs it with only these variables and free ports, until it ends.
    pub fn run_to_end<N, V>(self, variables: impl IntoIterator<Item = (N, V)>) -> Ended
    where
        N: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        end(self.command().envs(variables))
    }

    /// Starts it for `targets` and waits until it is ready. `environment` comes last and wins.
    pub fn start(self, targets: &[SocketAddr], environment: &[(&str, &str)]) -> Balancer {
        let balancer = self.spawn(targets, environment);
        balancer.wait_until_ready();
        balancer
    }

    /// Starts it and waits for nothing.
    pub fn spawn(self, targets: &[SocketAddr], environment: &[(&str, &str)]) -> Balancer {
        self.run(self.command(), unique(), targets, environment)
    }

    /// Starts it with so many descriptors at most.
    pub fn spawn_with_descriptors(
        self,
        most: u32,
        targets: &[SocketAddr],
        environment: &[(&str, &str)],
    ) -> Balancer {
        let shell = self.shell(&format!("ulimit -n {most} && exec \"$0\""));
        self.run(shell, unique(), targets, environment)
    }

    /// Starts it so that clients connect to `host`, and waits until it is ready. On all addresses it
    /// has a port of its own.
    pub fn start_on(
        self,
        host: IpAddr,
        targets: &[SocketAddr],
        environment: &[(&str, &str)],
    ) -> Balancer {
        let balancer = self.run(self.command(), host, targets, environment);
        balancer.wait_until_ready();
        balancer
    }

    /// Starts it with `socket` for its clients, passed as systemd does. `addresses` are those of the
    /// socket and of the admin server.
    pub fn spawn_with_socket(
        self,
        socket: impl AsFd,
        addresses: [SocketAddr; 2],
        targets: &[SocketAddr],
        environment: &[(&str, &str)],
    ) -> Balancer {
        let mut shell = self.shell("LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" 3<&0 0</dev/null");
        shell.stdin(socket.as_fd().try_clone_to_owned().unwrap());
        self.run_on(shell, addresses, None, targets, environment)
    }

    /// Starts it with sockets at these ports of an address of its own, passed in this order as systemd
    /// does.
    pub fn spawn_with_sockets(
        self,
        sockets: &[u16],
        targets: &[SocketAddr],
        environment: &[(&str, &str)],
    ) -> Balancer {
        let host = unique();
        let mut python = Command::new("python3");
        python.args(["-c", PASS_SOCKETS, self.path, &host.to_string()]);
        python.args(sockets.iter().map(ToString::to_string));
        self.run(alone(python), host, targets, environment)
    }

    fn run(
        self,
        command: Command,
        host: IpAddr,
        targets: &[SocketAddr],
        environment: &[(&str, &str)],
    ) -> Balancer {
        // On all addresses it would share, by SO_REUSEPORT, the clients of others that are, too.
        let port = host.is_unspecified().then(Port::free);
        let number = port.as_ref().map_or(ports().clients, Port::number);
        let address = SocketAddr::new(host, number);
        let admin = SocketAddr::new(if host.is_ipv4() { host } else { unique() }, ports().admin);
        self.run_on(command, [address, admin], port, targets, environment)
    }

    /// Starts it for clients and operators at these addresses.
    pub(super) fn run_on(
        self,
        mut command: Command,
        [address, admin]: [SocketAddr; 2],
        port: Option<Port>,
        targets: &[SocketAddr],
        environment: &[(&str, &str)],
    ) -> Balancer {
        let targets: Vec<_> = targets.iter().map(ToString::to_string).collect();
        command
            .env("HOST", address.ip().to_string())
            .env("PORT", address.port().to_string())
            .env("ADMIN_HOST", admin.ip().to_string())
            .env("ADMIN_PORT", admin.port().to_string())
            .env("HEALTH_CHECK_PORT", ports().health.to_string())
            .env("TARGETS", targets.join(","))
            .envs(ENVIRONMENT)
            .envs(environment.iter().copied());
        let process = Process::spawn(&mut command);
        Balancer { address, admin, process, binary: self, _port: port }
    }
}

fn alone(mut command: Command) -> Command {
    thread_local! {
        /// As long as the thread, that is, the test.
        static PORTS: [Port; 2] = [Port::free(), Port::free()];
    }
    let [port, admin] = PORTS.with(|ports| ports.each_ref().map(Port::text));
    command.env_clear().env("PORT", port).env("ADMIN_PORT", admin).stdin(Stdio::null());
    command
}
