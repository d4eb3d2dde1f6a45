//! Single key strokes from the terminal.

use std::io::{self, IsTerminal, Read};

use rustix::process::{Signal, getpgrp};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

/// Reads keys until dropped, which gives the terminal its former settings back.
#[derive(Debug)]
pub(super) struct Keys {
    former: Termios,
    resumption: Option<JoinHandle<()>>,
}

impl Keys {
    /// Calls `pressed` with each key, on a thread of its own, and `resumed` whenever the process goes
    /// on after a stop. Must be called inside a runtime. `None` without a terminal in the
    /// foreground: to touch it from the background would stop the process (tcsetattr(3)).
    pub(super) fn read(
        pressed: impl Fn(u8) + Send + 'static,
        resumed: impl Fn() + Send + 'static,
    ) -> Option<Self> {
        if !io::stdin().is_terminal() || !in_foreground() {
            return None;
        }
        let former = tcgetattr(io::stdin()).ok()?;
        let mut immediate = former.clone();
        // Ctrl-C and Ctrl-Z stay signals.
        immediate.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &immediate).ok()?;
        // A shell gives the terminal its own settings while the process is stopped.
        let resumption =
            signal(SignalKind::from_raw(Signal::CONT.as_raw())).ok().map(|mut continued| {
                tokio::spawn(async move {
                    while continued.recv().await.is_some() {
                        if in_foreground() {
                            // If the terminal is gone, there are no keys to come.
                            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &immediate);
                        }
                        resumed();
                    }
                })
            });
        let keys = Self { former, resumption };
        let read = move || {
            // The end of the input ends the keys, not the demo.
            let mut key = [0];
            while io::stdin().read(&mut key).is_ok_and(|bytes| bytes == 1) {
                pressed(key[0]);
            }
        };
        std::thread::Builder::new().name("keys".to_owned()).spawn(read).ok()?;
        Some(keys)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(resumption) = &self.resumption {
            resumption.abort();
        }
        if in_foreground() {
            // If the terminal is gone, there is nothing to restore.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.former);
        }
    }
}

fn in_foreground() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp())
}
