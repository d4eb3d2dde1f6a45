//! `HEALTH_CHECK_PROTOCOL=tcp` before servers that count and log each connection that comes to
//! nothing. Their programs are Debian's; a test whose program is missing is skipped.

use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::process::geteuid;
use testkit::net::port::Port;
use testkit::process::Process;
use testkit::scratch::Scratch;
use testkit::skip::skip;
use testkit::wait::wait_until;

use crate::BINARY;

/// As many checks as a server has to take without a trace.
const CHECKS: u64 = 250;

/// nobody's, whom servers that refuse to be root's run as.
const NOBODY: u32 = 65_534;

/// A server, and the log it writes.
struct LoggingServer {
    port: Port,
    scratch: Scratch,
}

impl LoggingServer {
    fn new() -> Self {
        let (port, scratch) = (Port::free(), Scratch::new());
        if geteuid().is_root() {
            chown(scratch.path(""), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        Self { port, scratch }
    }

    fn path(&self, name: &str) -> String {
        self.scratch.path(name).to_str().unwrap().to_owned()
    }

    /// As an ordinary user, whose home is the server's directory.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.scratch.path("")).env("HOME", self.scratch.path(""));
        if geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Runs it as long as what is returned lives; it listens once its log says `ready`.
    fn serve(&self, command: &Command, ready: &str) -> Process {
        let log = File::create(self.scratch.path("log")).unwrap();
        // Its own stream is a file, since what it has written must be seen at once.
        let mut shell = self.command(Path::new("/bin/sh"));
        let log_to = format!("exec \"$0\" \"$@\" >>{} 2>&1", self.path("log"));
        if geteuid().is_root() {
            chown(self.scratch.path("log"), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        drop(log);
        shell.arg("-c").arg(log_to).arg(command.get_program()).args(command.get_args());
        let process = Process::spawn(&mut shell);
        wait_until("the server listens", || self.log().contains(ready));
        process
    }

    fn log(&self) -> String {
        fs::read_to_string(self.scratch.path("log")).unwrap_or_default()
    }

    /// Checks it often: whoever looks at `trace` sees no difference, but does after one connection
    /// that was made in the ordinary way.
    fn assert_sees_no_check(&self, trace: impl Fn(&Self) -> String) {
        let before = trace(self);
        let environment = [("HEALTH_CHECK_PROTOCOL", "tcp"), ("HEALTH_CHECK_PERIOD", "5ms")];
        let port = self.port.text();
        let environment = [&environment[..], &[("HEALTH_CHECK_PORT", port.as_str())]].concat();
        let balancer = BINARY.start(&[self.port.local()], &environment);
        let checks = || balancer.count("health_check_latency_seconds_count");
        wait_until("there were many checks", || checks() >= CHECKS);
        assert_eq!(balancer.target(self.port.local())["state"], "healthy");
        assert_eq!(trace(self), before);
        drop(TcpStream::connect(self.port.local()).unwrap());
        wait_until("an ordinary connection leaves a trace", || trace(self) != before);
    }
}

/// What a command that has to succeed says.
fn output_of(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// The first of these programs that is there.
fn program(paths: &[&str]) -> Option<PathBuf> {
    let found = paths.iter().map(PathBuf::from).find(|path| path.exists());
    if found.is_none() {
        skip(&format!("no {}", paths[0]));
    }
    found
}

#[test]
fn mariadb_neither_counts_nor_logs_checks() {
    let Some(install) = program(&["/usr/bin/mariadb-install-db"]) else { return };
    let Some(program) = program(&["/usr/sbin/mariadbd"]) else { return };
    let server = LoggingServer::new();
    let data = format!("--datadir={}", server.path("data"));
    output_of(server.command(&install).args([
        "--no-defaults",
        &data,
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
    ]));
    let socket = server.path("socket");
    let mut command = server.command(&program);
    command.args(["--no-defaults", &data, "--bind-address=127.0.0.1", "--log-warnings=9"]);
    command.arg(format!("--port={}", server.port.text())).arg(format!("--socket={socket}"));
    command.arg(format!("--pid-file={}", server.path("pid")));
    let _process = server.serve(&command, "ready for connections");
    server.assert_sees_no_check(|server| {
        let counters = output_of(server.command(Path::new("/usr/bin/mariadb")).args([
            "--no-defaults",
            "--user=root",
            &format!("--socket={socket}"),
            "--batch",
            "--execute",
            "SHOW GLOBAL STATUS WHERE Variable_name LIKE 'Aborted%' \
             OR Variable_name LIKE 'Connection_errors%'",
        ]));
        assert!(counters.contains("Aborted_connects"), "{counters}");
        server.log() + &counters
    });
}

#[test]
fn postgresql_logs_no_checks() {
    let directory = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().next();
    let Some(directory) = directory.map(|entry| entry.path().join("bin")) else {
        return skip("no PostgreSQL");
    };
    let server = LoggingServer::new();
    let data = server.path("data");
    let mut initialise = server.command(&directory.join("initdb"));
    output_of(initialise.args(["-D", &data, "-A", "trust", "-U", "postgres", "--no-sync"]));
    let mut command = server.command(&directory.join("postgres"));
    command.args(["-D", &data, "-p", &server.port.text(), "-k", &server.path("")]);
    command.args(["-c", "listen_addresses=127.0.0.1", "-c", "log_connections=on"]);
    let _process = server.serve(&command, "ready to accept connections");
    server.assert_sees_no_check(LoggingServer::log);
}

#[test]
fn openssh_logs_no_checks() {
    let Some(program) = program(&["/usr/sbin/sshd"]) else { return };
    let server = LoggingServer::new();
    let key = server.path("key");
    let mut keygen = server.command(Path::new("/usr/bin/ssh-keygen"));
    output_of(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f", &key]));
    let mut command = server.command(&program);
    command.args(["-D", "-e", "-f", "/dev/null", "-h", &key, "-p", &server.port.text()]);
    command.args(["-o", "ListenAddress=127.0.0.1", "-o", "LogLevel=DEBUG", "-o", "PidFile=none"]);
    let _process = server.serve(&command, "Server listening");
    server.assert_sees_no_check(LoggingServer::log);
}
