use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that mean something to the process, and those that would end it for no reason.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
    on_hangup: Hangup,
}

/// What SIGHUP stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hangup {
    /// Read again what can be read again, as usual for daemons.
    Reloads,
    /// The terminal is gone, and the process with it.
    Ends,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// The end.
    End(EndSignal),
    /// The target file, read again.
    Reload,
    /// Nothing: the signal's name.
    Meaningless(&'static str),
}

/// A signal that ends the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndSignal {
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
    /// SIGHUP.
    Hangup,
}

impl Signals {
    /// From now on these signals are kept until asked for. Must be called inside a runtime.
    ///
    /// # Errors
    /// When the handlers cannot be set.
    pub(crate) fn new(on_hangup: Hangup) -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            on_hangup,
        })
    }

    /// Waits for the next one. Cancel safe.
    pub(crate) async fn next(&mut self) -> Received {
        tokio::select! {
            _ = self.terminate.recv() => Received::End(EndSignal::Terminate),
            _ = self.interrupt.recv() => Received::End(EndSignal::Interrupt),
            _ = self.hangup.recv() => match self.on_hangup {
                Hangup::Reloads => Received::Reload,
                Hangup::Ends => Received::End(EndSignal::Hangup),
            },
            _ = self.user1.recv() => Received::Meaningless("SIGUSR1"),
            _ = self.user2.recv() => Received::Meaningless("SIGUSR2"),
        }
    }
}

impl EndSignal {
    /// As users know it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::Hangup => "SIGHUP",
        }
    }

    /// The exit status of a process that it ended: 128 and its number, as in a shell.
    pub(crate) fn exit_code(self) -> i32 {
        let kind = match self {
            Self::Terminate => SignalKind::terminate(),
            Self::Interrupt => SignalKind::interrupt(),
            Self::Hangup => SignalKind::hangup(),
        };
        128 + kind.as_raw_value()
    }
}
