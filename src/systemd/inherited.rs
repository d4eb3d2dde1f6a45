use std::net::SocketAddr;

use dataplane::Listener;

use crate::config::table::{HOST, LISTEN_BACKLOG, OVERLAP, PORT, Variable};
use crate::config::{ConfigError, Environment, Problem, Written};
use crate::systemd::supervision::Supervision;

/// The first descriptor that is passed: `SD_LISTEN_FDS_START` of `sd_listen_fds(3)`.
const FIRST: i32 = 3;

/// Sockets that the process was started with, on which clients connect.
#[derive(Debug)]
pub(crate) struct Inherited {
    /// To be cloned for each core; in the order of the services, once that is known.
    pub(crate) listeners: Vec<Listener>,
    /// Where each of them listens; not empty.
    addresses: Vec<SocketAddr>,
}

impl Inherited {
    /// Those that were passed, if any were.
    ///
    /// # Errors
    /// One is no TCP socket that listens.
    pub(crate) fn of(supervision: &Supervision) -> Result<Option<Self>, ConfigError> {
        let (mut listeners, mut addresses) = (Vec::new(), Vec::new());
        let mut problems = Vec::new();
        for number in (FIRST..).take(supervision.sockets) {
            match Listener::inherited(number) {
                Ok((listener, address)) => {
                    listeners.push(listener);
                    addresses.push(address);
                }
                Err(error) => problems.push(supervision.socket_problem(number, &error)),
            }
        }
        if !problems.is_empty() {
            return Err(ConfigError(problems));
        }
        Ok((!listeners.is_empty()).then_some(Self { listeners, addresses }))
    }

    /// Has the variables say where clients connect, which then no longer depends on them; a line for
    /// the log if others are without effect. Values that cannot be used stay, to be reported.
    ///
    /// # Errors
    /// A variable says that clients connect elsewhere: whoever set it would wait there in vain.
    pub(crate) fn describe(
        &mut self,
        mut environment: Environment,
    ) -> Result<(Environment, Option<String>), (Environment, ConfigError)> {
        let host = self.addresses[0].ip().to_string();
        let mut problems: Vec<_> = self.set(&mut environment, &HOST, &host).into_iter().collect();
        problems.extend(self.match_services(&mut environment));
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
                self.places(),
                ignored.join(", ")
            )
        });
        Ok((environment, line))
    }

    /// Brings the sockets into the order of the services that `PORT` has, or has `PORT` say which there
    /// are; what is wrong if they do not go together.
    fn match_services(&mut self, environment: &mut Environment) -> Vec<Problem> {
        let passed: Vec<_> = self.addresses.iter().map(SocketAddr::port).collect();
        let written = environment.get(&PORT).map(|text| (PORT.parse)(Some(text)));
        let ports = match written {
            Some(Ok(ports)) => ports,
            Some(Err(_)) => return Vec::new(),
            None => {
                let all: Vec<_> = passed.iter().map(ToString::to_string).collect();
                environment.set(&PORT, &all.join(","));
                return Vec::new();
            }
        };
        let services = ports.services();
        if let ([_], [only]) = (services, passed.as_slice()) {
            // One that says where the targets serve says where clients connect, too.
            let is_there = services[0].port == *only;
            let problem =
                || environment.written(&PORT.row).map(|it| self.problem(it, &only.to_string()));
            return if is_there { Vec::new() } else { problem().into_iter().collect() };
        }
        let mut places = Vec::new();
        let mut problems = Vec::new();
        for service in services {
            match passed.iter().position(|port| *port == service.port) {
                Some(place) => places.push(place),
                None => {
                    problems.push(Supervision::missing_socket_problem(service.port, &passed));
                }
            }
        }
        let is_of_none = |port: &&u16| services.iter().all(|service| service.port != **port);
        if let Some(other) = passed.iter().find(is_of_none)
            && let Some(written) = environment.written(&PORT.row)
        {
            problems.push(self.problem(written, &other.to_string()));
        }
        if problems.is_empty() {
            let mut listeners: Vec<_> =
                std::mem::take(&mut self.listeners).into_iter().map(Some).collect();
            self.listeners =
                places.into_iter().filter_map(|place| listeners[place].take()).collect();
        }
        problems
    }

    /// Where they listen, for people.
    fn places(&self) -> String {
        let addresses: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
        addresses.join(", ")
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
            self.places()
        );
        Problem::new(name, Some(text), &reason)
    }
}
