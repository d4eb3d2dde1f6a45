//! Child processes that do not outlive their test.

mod capture;
mod ended;
pub mod usage;

use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::wait_until;
use capture::Capture;

pub use ended::{Ended, end};

/// A running process whose output is kept. Dropped, it is killed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: Capture,
    stderr: Capture,
    was_waited_for: bool,
}

impl Process {
    /// Starts `command`.
    pub fn spawn(command: &mut Command) -> Self {
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.expect("the binary starts");
        let stdout = Capture::new(child.stdout.take().expect("it is piped"));
        let stderr = Capture::new(child.stderr.take().expect("it is piped"));
        Self { child, stdout, stderr, was_waited_for: false }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it `signal`.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is ours and not reaped");
    }

    /// Whether it has ended, for whatever reason.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_some()
    }

    /// Waits until it ended by itself and its output is complete.
    pub fn wait(&mut self) -> ExitStatus {
        self.was_waited_for = true;
        let mut status = None;
        wait_until("the process ends", || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        });
        self.stdout.finish();
        self.stderr.finish();
        status.expect("the wait is over")
    }

    /// Whether the test waited for its end.
    pub fn was_waited_for(&self) -> bool {
        self.was_waited_for
    }

    /// Its standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Its standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("--- standard error of the process under test:\n{}", self.stderr());
        }
    }
}
