use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::time::Duration;

use crate::config::{ConfigError, Problem};

/// Most sockets that can be passed: one for each service.
const SOCKETS_MAX: usize = exchange::ServiceIndex::COUNT_MAX;

const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
const WATCHDOG_USEC: &str = "WATCHDOG_USEC";
const WATCHDOG_PID: &str = "WATCHDOG_PID";
const LISTEN_FDS: &str = "LISTEN_FDS";
const LISTEN_PID: &str = "LISTEN_PID";

/// What a service manager such as systemd has given the process to start with, and wants to hear from
/// it: `sd_notify(3)`, `sd_watchdog_enabled(3)`, `sd_listen_fds(3)`.
///
/// The variables stay in the environment: the process starts no other, and their process ids would
/// tell one that they are not meant for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Supervision {
    /// Where to tell how things are: a path, or an abstract name behind `@`.
    pub(crate) notify: Option<OsString>,
    /// How long the manager goes without a sign of life before it steps in.
    pub(crate) watchdog: Option<Duration>,
    /// How many sockets were passed on which clients connect.
    pub(crate) sockets: usize,
}

impl Supervision {
    /// That of this process.
    ///
    /// # Errors
    /// Variables with values that cannot be used.
    pub(crate) fn of_process() -> Result<Self, ConfigError> {
        let names = [NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID, LISTEN_FDS, LISTEN_PID];
        let set = names.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        Self::of(&set.collect(), std::process::id())
    }

    fn of(set: &HashMap<&'static str, OsString>, own_pid: u32) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let mut number = |name| {
            let text = set.get(name).filter(|text| !text.is_empty())?;
            let number = text.to_str().and_then(|text| text.parse::<u64>().ok());
            if number.is_none() {
                let reason = "is no number; accepted: what systemd sets, or unset";
                problems.push(Problem::new(name, Some(&text.to_string_lossy()), reason));
            }
            number
        };
        let is_own = |pid: u64| pid == u64::from(own_pid);
        let microseconds = number(WATCHDOG_USEC).filter(|&microseconds| microseconds > 0);
        // Without an id it is meant for whoever reads it; sockets are not.
        let is_watched = number(WATCHDOG_PID).is_none_or(is_own);
        let has_sockets = number(LISTEN_PID).is_some_and(is_own);
        let sockets = number(LISTEN_FDS).filter(|_| has_sockets).unwrap_or(0);
        let count = usize::try_from(sockets).unwrap_or(usize::MAX);
        if count > SOCKETS_MAX {
            let reason = format!(
                "is more than {SOCKETS_MAX} sockets; accepted: one for each service, each with a \
                 ListenStream="
            );
            problems.push(Problem::new(LISTEN_FDS, Some(&sockets.to_string()), &reason));
        }
        if !problems.is_empty() {
            return Err(ConfigError(problems));
        }
        Ok(Self {
            notify: set.get(NOTIFY_SOCKET).filter(|path| *path != OsStr::new("")).cloned(),
            watchdog: microseconds.filter(|_| is_watched).map(Duration::from_micros),
            sockets: count,
        })
    }

    /// What to say of a socket that was passed but cannot be used.
    pub(crate) fn socket_problem(&self, number: i32, error: &std::io::Error) -> Problem {
        let reason = format!(
            "passes descriptor {number}, which cannot be used ({error}); accepted: TCP sockets that \
             listen, as of a systemd unit with ListenStream=PORT and Accept=no"
        );
        Problem::new(LISTEN_FDS, Some(&self.sockets.to_string()), &reason)
    }

    /// What to say of a service that no socket was passed for, which listen on these `ports`.
    pub(crate) fn missing_socket_problem(service: u16, ports: &[u16]) -> Problem {
        let count = ports.len().to_string();
        let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
        let reason = format!(
            "has no socket for the service at port {service} (PORT): they listen on {}; accepted: \
             one for each service, with a ListenStream= in the .socket unit",
            ports.join(", ")
        );
        Problem::new(LISTEN_FDS, Some(&count), &reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(set: &[(&'static str, &str)]) -> Result<Supervision, String> {
        let set = set.iter().map(|&(name, value)| (name, value.into())).collect();
        Supervision::of(&set, 42).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_the_rule() {
        assert_eq!(of(&[]), Ok(Supervision::default()));
        let empty = [(NOTIFY_SOCKET, ""), (WATCHDOG_USEC, ""), (LISTEN_FDS, "")];
        assert_eq!(of(&empty), Ok(Supervision::default()));
    }

    #[test]
    fn what_systemd_sets_is_understood() {
        let set = [
            (NOTIFY_SOCKET, "@notify"),
            (WATCHDOG_USEC, "2500000"),
            (WATCHDOG_PID, "42"),
            (LISTEN_PID, "42"),
            (LISTEN_FDS, "1"),
        ];
        let watchdog = Some(Duration::from_millis(2500));
        let expected = Supervision { notify: Some("@notify".into()), watchdog, sockets: 1 };
        assert_eq!(of(&set), Ok(expected));
        assert_eq!(of(&[(WATCHDOG_USEC, "2500000")]).unwrap().watchdog, watchdog);
        assert_eq!(of(&[(WATCHDOG_USEC, "0")]).unwrap().watchdog, None);
    }

    #[test]
    fn what_is_meant_for_another_process_is_left_alone() {
        let of = |set| of(set).unwrap();
        assert_eq!(of(&[(LISTEN_PID, "41"), (LISTEN_FDS, "1")]).sockets, 0);
        assert_eq!(of(&[(LISTEN_FDS, "1")]).sockets, 0);
        assert_eq!(of(&[(WATCHDOG_USEC, "9"), (WATCHDOG_PID, "41")]).watchdog, None);
        assert_eq!(of(&[(LISTEN_PID, "41"), (LISTEN_FDS, "2")]).sockets, 0);
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        for (set, expected) in [
            (vec![(LISTEN_PID, "42"), (LISTEN_FDS, "33")], "LISTEN_FDS=\"33\" is more than 32"),
            (vec![(LISTEN_PID, "42"), (LISTEN_FDS, "-1")], "LISTEN_FDS=\"-1\" is no number"),
            (vec![(WATCHDOG_USEC, "5s")], "WATCHDOG_USEC=\"5s\" is no number"),
        ] {
            let error = of(&set).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
