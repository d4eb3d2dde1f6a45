use std::net::{IpAddr, SocketAddr};

use dataplane::Listener;

use crate::config::variable::{HOST, LISTEN_BACKLOG, OVERLAP, PORT, Variable};
use crate::config::{ConfigError, Environment, Supervision};

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
    /// the log if they say otherwise. Values that cannot be used stay, to be reported.
    pub(crate) fn describe(&self, mut environment: Environment) -> (Environment, Option<String>) {
        let mut ignored = Vec::new();
        let mut set = |variable: Variable, value: String, is_good: fn(&str) -> bool| {
            let old = environment.get(variable).map(str::to_owned);
            if let Some(old) = old {
                if !is_good(&old) {
                    return;
                }
                if old.trim_matches(['[', ']']) != value {
                    ignored.push(format!("{}={old}", variable.name));
                }
            }
            environment.set(variable, &value);
        };
        let is_address = |text: &str| text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        set(HOST, self.address.ip().to_string(), is_address);
        set(PORT, self.address.port().to_string(), |text| text.parse::<u16>().is_ok());
        // The queue is as long as the socket's owner wants it, and it listens already.
        for variable in [LISTEN_BACKLOG, OVERLAP] {
            let set = environment.get(variable);
            ignored.extend(set.map(|value| format!("{}={value}", variable.name)));
        }
        let line = (!ignored.is_empty()).then(|| {
            format!(
                "clients connect to {}, the socket that the service manager has passed; without \
                 effect: {}",
                self.address,
                ignored.join(", ")
            )
        });
        (environment, line)
    }
}
