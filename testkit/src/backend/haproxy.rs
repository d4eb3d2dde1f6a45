use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::process::usage::check_program;
use crate::scratch::Scratch;
use crate::wait::{PATIENCE, wait_until};

/// A real `HAProxy` in the foreground. Dropped, it is killed.
#[derive(Debug)]
pub struct HaProxy {
    process: Child,
    _directory: Scratch,
}

impl HaProxy {
    /// Whether there is one to be run; else why not.
    pub fn check() -> Result<(), String> {
        check_program(PROGRAM)
    }

    /// Starts it with these sections, and waits until it accepts.
    pub fn start(sections: &str) -> Self {
        let directory = Scratch::new();
        let file = directory.path("haproxy.cfg");
        let admin = directory.path("admin");
        let global = format!("global\n maxconn 1000\n stats socket {}\n", admin.display());
        fs::write(&file, format!("{global}{DEFAULTS}{sections}")).unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg("-db").arg("-f").arg(&file);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Its other sockets are bound by then, and no connection of ours is among theirs.
        wait_until("HAProxy answers", || answers(&admin).is_ok_and(|answers| answers));
        Self { process, _directory: directory }
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const PROGRAM: &str = "/usr/sbin/haproxy";

fn answers(admin: &Path) -> io::Result<bool> {
    let mut stream = UnixStream::connect(admin)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"show info\n")?;
    Ok(stream.read(&mut [0])? > 0)
}

const DEFAULTS: &str = "\
defaults
 timeout connect 10s
 timeout client 30s
 timeout server 30s
";
