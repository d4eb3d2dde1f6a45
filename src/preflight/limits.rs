//! What the limits of this process leave room for.

use std::num::NonZeroUsize;

use dataplane::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::findings::{Check, Findings};
use crate::config::Problem;
use crate::config::table::MAX_CONNECTIONS;

/// An executor refuses to start below this soft limit, whoever runs it.
const MEMLOCK_BYTES_MIN: u64 = 512 * 1024;

/// What a core's rings and buffers take of the limit, unless the process may lock what it likes
/// (measured: about 528 KiB). The kernel counts it per user, over all of their processes.
const MEMLOCK_BYTES_PER_CORE: u64 = 640 * 1024;

/// What helps against too little locked memory.
const MEMLOCK_REMEDY: &str = "raise it with LimitMEMLOCK=infinity (systemd), --ulimit memlock=-1 \
    (Docker) or ulimit -l, or use fewer CORES; it is counted per user, so two instances need it twice";

/// Descriptors of the process as a whole, beside those for health checks: the standard streams 3 and
/// the control plane's.
const NOFILE_BASE: u64 = 3 + control::DESCRIPTORS_MAX as u64;

/// Descriptors of each core: its rings 4, its listener 1, eventfds 2. The rest is for clients whose
/// accepts are in flight when there is room for one more.
const NOFILE_PER_CORE: u64 = 20;

/// What a core has for each further service: its listener, and accepts in flight.
const NOFILE_PER_FURTHER_SERVICE: u64 = 1 + 4;

/// Of the descriptors every so many-th is for health checks, which never take more.
const PROBES_SHARE: u64 = 8;
const PROBES_MAX: u64 = control::MAX_PROBES as u64;

/// More connections than this are as good as no limit.
const CONNECTIONS_UNLIMITED: usize = 1 << 40;

/// Fewer connections than this are hardly meant. The usual limit of 1,024 files leaves 400.
const CONNECTIONS_FEW: usize = 1000;

/// What the limits of this process leave room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// Client connections, two descriptors each.
    pub(crate) connections_max: usize,
    /// Health checks at a time, one descriptor each.
    pub(crate) probes_max: usize,
}

impl Capacity {
    /// How many connections there is room for, and whether that is as few as nobody wants who has not
    /// set a limit of so many, or fewer, themselves.
    fn line(self, limit: Option<NonZeroUsize>) -> (log::Level, String) {
        let probes = self.probes_max;
        match self.connections_max {
            CONNECTIONS_UNLIMITED.. => (log::Level::Info, "no limit of open files".to_owned()),
            room if room < CONNECTIONS_FEW && limit.is_none() => (
                log::Level::Warn,
                format!(
                    "room for only {room} client connections at a time, and {probes} health checks, \
                     for want of open files (RLIMIT_NOFILE): raise it with LimitNOFILE=1048576 (systemd), --ulimit \
                     nofile=1048576 (Docker) or ulimit -n, or set MAX_CONNECTIONS"
                ),
            ),
            room => {
                let line = format!(
                    "room for {room} client connections at a time, and {probes} health checks"
                );
                (log::Level::Info, line)
            }
        }
    }

    /// Why `MAX_CONNECTIONS` cannot be kept: there are not as many descriptors. Clients beyond what
    /// they allow would wait, not be reset.
    fn limit_problem(self, wanted: NonZeroUsize, cores: usize, services: usize) -> Option<Problem> {
        let most = Limits::connections_max(self.connections_max, cores, services);
        let reason = format!(
            "needs more open files than RLIMIT_NOFILE allows, two for each connection and some to \
             reset the excess; accepted: 1 to {most}, or more with LimitNOFILE=1048576 (systemd), \
             --ulimit nofile=1048576 (Docker) or ulimit -n"
        );
        let name = MAX_CONNECTIONS.name();
        (wanted.get() > most).then(|| Problem::new(name, Some(&wanted.to_string()), &reason))
    }
}

/// Raises the soft limits as far as the hard ones allow, and looks whether they will do for a data
/// plane of so many `services` on so many `cores`, and for as many `connections` as are wanted at
/// most. Answers what there is room for, if that is anything.
pub(super) fn examine(
    cores: usize,
    services: usize,
    connections: Option<NonZeroUsize>,
    findings: &mut Findings,
) -> Option<Capacity> {
    let count = u64::try_from(cores).unwrap_or(u64::MAX);
    let limit = raise_to_hard(Resource::Memlock);
    let memlock = check_memlock(limit, memlock_needed(count, may_lock_any_memory()));
    let memlock = memlock.map(|()| match limit {
        Some(bytes) => format!("limit {bytes} bytes"),
        None => "no limit".to_owned(),
    });
    findings.result(Check::Memlock, memlock);
    let capacity = check_nofile(raise_to_hard(Resource::Nofile), count, services);
    let capacity = capacity.map_err(|cause| findings.failure(Check::Nofile, None, cause)).ok()?;
    let problem = connections.and_then(|wanted| capacity.limit_problem(wanted, cores, services));
    match (problem, capacity.line(connections)) {
        (Some(problem), _) => findings.refused(Check::Nofile, None, problem),
        (None, (log::Level::Warn, line)) => findings.warning(Check::Nofile, None, line),
        (None, (_, line)) => findings.ok(Check::Nofile, None, line),
    }
    Some(capacity)
}

/// A line about the kernel queueing fewer clients than `LISTEN_BACKLOG` says, if that is so
/// (listen(2)).
pub(super) fn short_backlog(backlog: u32) -> Option<String> {
    const SOMAXCONN: &str = "/proc/sys/net/core/somaxconn";
    let most: u32 = std::fs::read_to_string(SOMAXCONN).ok()?.trim().parse().ok()?;
    (backlog > most).then(|| {
        format!(
            "LISTEN_BACKLOG is {backlog}, but the kernel lets only {most} clients wait: raise \
             sysctl net.core.somaxconn, or lower LISTEN_BACKLOG"
        )
    })
}

/// Why the data plane did not start although every check had passed.
pub(crate) fn explain(error: &dataplane::StartError) -> String {
    if error.is_out_of_memory() {
        return format!(
            "{error}: the limit on locked memory (RLIMIT_MEMLOCK) is used up; {MEMLOCK_REMEDY}"
        );
    }
    error.to_string()
}

/// The soft limit afterwards; `None` is unlimited. Raising it needs no privilege (setrlimit(2)).
fn raise_to_hard(resource: Resource) -> Option<u64> {
    let limit = getrlimit(resource);
    // If it is refused all the same, the limit as it stays decides.
    let _ = setrlimit(resource, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(resource).current
}

/// Whether the process has `CAP_IPC_LOCK` (capabilities(7)), as root usually does. Its bit stands
/// in the effective set that proc(5) shows.
fn may_lock_any_memory() -> bool {
    const CAP_IPC_LOCK: u32 = 14;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    effective.is_some_and(|mask| mask >> CAP_IPC_LOCK & 1 == 1)
}

fn memlock_needed(cores: u64, is_unlimited: bool) -> u64 {
    if is_unlimited {
        return MEMLOCK_BYTES_MIN;
    }
    MEMLOCK_BYTES_PER_CORE.saturating_mul(cores).max(MEMLOCK_BYTES_MIN)
}

fn check_memlock(limit: Option<u64>, needed: u64) -> Result<(), String> {
    match limit {
        Some(bytes) if bytes < needed => Err(format!(
            "the limit on locked memory (RLIMIT_MEMLOCK) is {bytes} bytes: io_uring needs at least \
             {needed} for these CORES; {MEMLOCK_REMEDY}"
        )),
        _ => Ok(()),
    }
}

fn check_nofile(limit: Option<u64>, cores: u64, services: usize) -> Result<Capacity, String> {
    let further = u64::try_from(services.saturating_sub(1)).unwrap_or(u64::MAX);
    let per_core = NOFILE_PER_CORE + NOFILE_PER_FURTHER_SERVICE.saturating_mul(further);
    let fixed = NOFILE_BASE.saturating_add(per_core.saturating_mul(cores));
    let files = limit.unwrap_or(u64::MAX);
    let probes = (files / PROBES_SHARE).min(PROBES_MAX);
    let connections = files.saturating_sub(fixed.saturating_add(probes)) / 2;
    if connections == 0 {
        let needed = fixed.saturating_add(2).saturating_mul(PROBES_SHARE) / (PROBES_SHARE - 1) + 1;
        return Err(format!(
            "the limit on open files (RLIMIT_NOFILE) is {files}: {cores} cores need at least \
             {needed} to serve anybody; raise it with LimitNOFILE=1048576 (systemd), --ulimit \
             nofile=1048576 (Docker) or ulimit -n, or use fewer CORES"
        ));
    }
    let to_usize = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    Ok(Capacity { connections_max: to_usize(connections), probes_max: to_usize(probes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_enough_from_the_documented_minimum() {
        assert_eq!(memlock_needed(4, true), 524_288);
        assert_eq!(memlock_needed(1, false), 655_360);
        assert_eq!(memlock_needed(2, false), 1_310_720);
        assert!(check_memlock(Some(655_360), 655_360).is_ok());
        assert!(check_memlock(None, u64::MAX).is_ok());
        assert!(check_memlock(Some(655_359), 655_360).unwrap_err().contains("LimitMEMLOCK"));
        let room = |limit, cores| check_nofile(limit, cores, 1).unwrap().connections_max;
        assert_eq!(room(Some(127), 2), 1);
        assert_eq!(room(Some(150), 2), 11);
        assert_eq!(room(Some(1_048_576), 2), (1_048_576 - 109 - 1024) / 2);
        assert!(room(None, 1024) > 1 << 40);
        assert!(check_nofile(Some(125), 2, 1).unwrap_err().contains("need at least 127"));
        let probes = |limit| check_nofile(limit, 2, 1).unwrap().probes_max;
        assert_eq!([probes(Some(150)), probes(Some(1024)), probes(None)], [18, 128, 1024]);
    }
}
