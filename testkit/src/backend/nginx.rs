use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::http;
use crate::net::address::{ports, unique};
use crate::process::usage::{check_program, children};
use crate::scratch::Scratch;
use crate::wait::wait_until;

/// A real nginx, master and worker, that answers every request with its own address, on the port for
/// health checks too.
#[derive(Debug)]
pub struct Nginx {
    /// Where it serves.
    pub address: SocketAddr,
    directory: Scratch,
    master: Option<Child>,
}

impl Nginx {
    /// Whether there is one to be run; else why not.
    pub fn check() -> Result<(), String> {
        check_program(PROGRAM)
    }

    /// Starts one, and waits until it answers.
    pub fn start() -> Self {
        let address = SocketAddr::new(unique(), ports().target);
        let directory = Scratch::new();
        fs::write(directory.path("nginx.conf"), configuration(address)).unwrap();
        let mut nginx = Self { address, directory, master: None };
        nginx.run();
        nginx
    }

    /// Starts it, again after a kill, and waits until it answers.
    pub fn run(&mut self) {
        let mut command = Command::new(PROGRAM);
        command.arg("-p").arg(self.directory.path("")).args(["-c", "nginx.conf"]);
        self.master = Some(command.stderr(Stdio::null()).spawn().unwrap());
        wait_until("nginx answers", || http::get(self.address, "/").is_ok());
    }

    /// Stops it as it is: the kernel goes on taking connections, and nobody answers.
    pub fn freeze(&self) {
        self.signal_worker(Signal::STOP);
    }

    /// The opposite of [`Nginx::freeze`].
    pub fn thaw(&self) {
        self.signal_worker(Signal::CONT);
    }

    fn signal_worker(&self, signal: Signal) {
        for worker in children(self.master.as_ref().unwrap().id()) {
            kill_process(pid(worker), signal).unwrap();
        }
    }

    /// `kill -9`, the worker too.
    pub fn kill(&mut self) {
        let Some(mut master) = self.master.take() else { return };
        let workers = children(master.id());
        // The master first: it would replace its workers.
        master.kill().unwrap();
        master.wait().unwrap();
        for worker in workers {
            // It may have ended for want of its master.
            let _ = kill_process(pid(worker), Signal::KILL);
        }
        // The kernel takes its time.
        wait_until("nginx is dead", || TcpStream::connect(self.address).is_err());
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.kill();
    }
}

const PROGRAM: &str = "/usr/sbin/nginx";

fn pid(process: u32) -> Pid {
    i32::try_from(process).ok().and_then(Pid::from_raw).unwrap()
}

/// All paths are its own, so that any user can run it.
fn configuration(address: SocketAddr) -> String {
    let health = SocketAddr::new(address.ip(), ports().health);
    let user = if geteuid().is_root() { "user root;" } else { "" };
    format!(
        "{user} daemon off; worker_processes 1; pid nginx.pid; lock_file nginx.lock;
        error_log error.log;
        events {{ worker_connections 1024; }}
        http {{
            access_log off; keepalive_requests 1000000;
            client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi; scgi_temp_path scgi;
            server {{
                listen {address}; listen {health};
                location / {{ return 200 \"{address}\"; }}
            }}
        }}\n"
    )
}
