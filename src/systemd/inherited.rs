use std::net::SocketAddr;

use dataplane::Listener;

use crate::config::table::{HOST, LISTEN_BACKLOG, OVERLAP, PORT, Variable};
use crate::config::{ConfigError, Environment, Problem, Written};
use crate::systemd::supervision::Supervision;

/// The first descriptor that is passed: `SD_LISTEN_FDS_START` of `sd_listen_fds(3)`.
const FIRST: i32 = 3;

/// A socket that the process was started with, on which clients connect.
#[derive(Debug)]
pub(crate) struct Inherited {
    /// To be cloned for each core.
    pub(crate) listener: Listener,
    address: SocketAddr,
}

impl Inherited {
    /// The one that was passed, if one was.
    ///
    /// # Errors
    /// It is no TCP socket that listens.
    pub(crate) fn of(supervision: &Supervision) -> Result<Option<Self>, ConfigError> {
        if !supervision.has_socket {
            return Ok(None);
        }
        match Listener::inherited(FIRST) {
            Ok((listener, address)) => Ok(Some(Self { listener, address })),
            Err(error) => Err(Supervision::socket_problem(&error)),
        }
    }

    /// Has the variables say where clients connect, which then no longer depends on them; a line for
    /// the log if others are without effect. Values that cannot be used stay, to be reported.
    ///
    /// # Errors
    /// A variable says that clients connect elsewhere: whoever set it would wait there in vain.
    pub(crate) fn describe(
        &self,
        mut environment: Environment,
    ) -> Result<(Environment, Option<String>), (Environment, ConfigError)> {
        let (address, port) = (self.address.ip().to_string(), self.address.port().to_string());
        let problems: Vec<_> = self
            .set(&mut environment, &HOST, &address)
            .into_iter()
            .chain(self.set(&mut environment, &PORT, &port))
            .collect();
        if !problems.is_empty() {
            return Err((environment, ConfigError(problems)));
        }
        // The queue is as long as the socket's owner wants it, and it listens already.
        let ignored: Vec<_> = [&LISTEN_BACKLOG.row, &OVERLAP.row]
            .into_iter()
            .filter_map(|row| environment.written(row))
            .map(|written| format!("{}={}", written.name, written.text))
            .collect();
        let line = (!ignored.is_empty()).then(|| {
            format!(
                "clients connect to {}, the socket that the service manager has passed; without \
                 effect: {}",
                self.address,
                ignored.join(", ")
            )
        });
        Ok((environment, line))
    }

    /// Has `variable` say what the socket says, unless its value cannot be used; the problem if it
    /// says something else.
    fn set<T>(
        &self,
        environment: &mut Environment,
        variable: &Variable<T>,
        passed: &str,
    ) -> Option<Problem> {
        let written = environment.written(&variable.row);
        if written.is_some_and(|written| (variable.parse)(Some(written.text)).is_err()) {
            return None;
        }
        let other = written.filter(|written| written.text.trim_matches(['[', ']']) != passed);
        let problem = other.map(|other| self.problem(other, passed));
        environment.set(variable, passed);
        problem
    }

    /// What to say of a variable that has clients connect elsewhere.
    fn problem(&self, written: Written<'_>, passed: &str) -> Problem {
        let Written { name, text } = written;
        let reason = format!(
            "is not where the socket listens that the service manager has passed, {}; accepted: \
             {passed}, or unset. ListenStream= of the .socket unit says where clients connect \
             (systemctl edit); without that unit (systemctl disable --now) {name} does",
            self.address
        );
        Problem::new(name, Some(text), &reason)
    }
}
