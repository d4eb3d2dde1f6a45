use std::net::{IpAddr, SocketAddr};

use dataplane::Listener;

use crate::config::table::{HOST, LISTEN_BACKLOG, OVERLAP, PORT, Variable};
use crate::config::{ConfigError, Environment, Problem};
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
        let mut problems = Vec::new();
        let mut set = |variable: Variable, value: String, is_good: fn(&str) -> bool| {
            if let Some(old) = environment.get(variable) {
                if !is_good(old) {
                    return;
                }
                if old.trim_matches(['[', ']']) != value {
                    problems.push(self.problem(variable, old, &value));
                }
            }
            environment.set(variable, &value);
        };
        let is_address = |text: &str| text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        set(HOST, self.address.ip().to_string(), is_address);
        set(PORT, self.address.port().to_string(), |text| text.parse::<u16>().is_ok());
        if !problems.is_empty() {
            return Err((environment, ConfigError(problems)));
        }
        // The queue is as long as the socket's owner wants it, and it listens already.
        let ignored: Vec<_> = [LISTEN_BACKLOG, OVERLAP]
            .into_iter()
            .filter_map(|variable| {
                environment.get(variable).map(|value| format!("{}={value}", variable.name))
            })
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

    /// What to say of a variable that has clients connect elsewhere.
    fn problem(&self, variable: Variable, value: &str, passed: &str) -> Problem {
        let reason = format!(
            "is not where the socket listens that the service manager has passed, {}; accepted: \
             {passed}, or unset. ListenStream= of the .socket unit says where clients connect \
             (systemctl edit); without that unit (systemctl disable --now) {} does",
            self.address, variable.name
        );
        Problem::new(variable.name, Some(value), &reason)
    }
}
