use std::path::PathBuf;
use std::process::{self, Command, Stdio};
use std::{env, fs};

/// A program in a terminal of tmux(1), which wraps its lines anew when its size changes. Dropped,
/// it is killed, with the server that it alone has.
pub(crate) struct Tmux {
    socket: PathBuf,
}

impl Tmux {
    /// Starts `shell_command` in a terminal of this size; none where there is no tmux.
    pub(crate) fn start(shell_command: &str, columns: u16, rows: u16) -> Option<Self> {
        let name = format!("stateless-load-balancer-test-tmux-{}", process::id());
        let tmux = Self { socket: env::temp_dir().join(name) };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let session = ["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &rows];
        let started = tmux.command().args(session).arg(shell_command).status().ok()?;
        assert!(started.success(), "tmux does not start");
        Some(tmux)
    }

    /// What is on the screen.
    pub(crate) fn screen(&self) -> String {
        let captured = self.command().args(["capture-pane", "-p"]).output().expect("tmux runs");
        String::from_utf8_lossy(&captured.stdout).into_owned()
    }

    /// Presses these keys.
    pub(crate) fn press(&self, keys: &str) {
        self.run(&["send-keys", "-l", keys]);
    }

    /// Gives the terminal another size.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.run(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// Whether the program is still there.
    pub(crate) fn is_running(&self) -> bool {
        let asked = self.command().arg("has-session").stderr(Stdio::null()).status();
        asked.expect("tmux runs").success()
    }

    fn run(&self, arguments: &[&str]) {
        let status = self.command().args(arguments).status().expect("tmux runs");
        assert!(status.success(), "tmux {arguments:?}");
    }

    fn command(&self) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-u", "-S"]).arg(&self.socket).env_remove("TMUX").stdin(Stdio::null());
        command
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        // Both fail only where the program has ended, and the server with it.
        let _ = self.command().arg("kill-server").stderr(Stdio::null()).status();
        let _ = fs::remove_file(&self.socket);
    }
}
