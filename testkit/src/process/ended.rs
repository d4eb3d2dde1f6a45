use std::process::Command;

use super::Process;

/// How a process ended that was expected to end by itself.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

impl Ended {
    /// The line of standard error that begins with `start`, blanks before it apart.
    pub fn line(&self, start: &str) -> &str {
        let line = self.stderr.lines().find(|line| line.trim_start().starts_with(start));
        line.unwrap_or_else(|| panic!("no line begins with {start:?}:\n{}", self.stderr))
    }
}

/// Runs `command` until it ends.
///
/// # Panics
/// When it does not in time; it is killed then.
pub fn end(command: &mut Command) -> Ended {
    let mut process = Process::spawn(command);
    let code = process.wait().code();
    Ended { code, stdout: process.stdout(), stderr: process.stderr() }
}
