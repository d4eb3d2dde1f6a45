//! What the kernel must grant before anything starts.

use std::fmt;
use std::io;
use std::num::NonZeroUsize;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use dataplane::Limits;

use crate::config::{Problem, table};

/// The first kernel with everything the ring uses, above all the wait that defers task work
/// (`IORING_SETUP_DEFER_TASKRUN`, `io_uring_setup(2)`).
const KERNEL_MIN: (u32, u32) = (6, 1);

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

/// Of the descriptors every so many-th is for health checks, which never take more.
const PROBES_SHARE: u64 = 8;
const PROBES_MAX: u64 = control::MAX_PROBES as u64;

/// More connections than this are as good as no limit.
const CONNECTIONS_UNLIMITED: usize = 1 << 40;

/// Fewer connections than this are hardly meant. The usual limit of 1,024 files leaves 400.
const CONNECTIONS_FEW: usize = 1000;

/// Why this machine or this environment cannot run the balancer: each cause with its remedy.
#[derive(Debug)]
pub(crate) struct PreflightError(Vec<String>);

impl fmt::Display for PreflightError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot run here:")?;
        for cause in &self.0 {
            write!(f, "\n  {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for PreflightError {}

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
    pub(crate) fn line(self, limit: Option<NonZeroUsize>) -> (log::Level, String) {
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
    pub(crate) fn limit_problem(self, wanted: NonZeroUsize, cores: usize) -> Option<Problem> {
        let most = Limits::connections_max(self.connections_max, cores);
        let reason = format!(
            "needs more open files than RLIMIT_NOFILE allows, two for each connection and some to \
             reset the excess; accepted: 1 to {most}, or more with LimitNOFILE=1048576 (systemd), \
             --ulimit nofile=1048576 (Docker) or ulimit -n"
        );
        let name = table::MAX_CONNECTIONS.name;
        (wanted.get() > most).then(|| Problem::new(name, Some(&wanted.to_string()), &reason))
    }
}

/// What the limit of open files leaves room for, raised as far as it can be; `None` where that is
/// nothing.
pub(crate) fn capacity(cores: usize) -> Option<Capacity> {
    check_nofile(raise_to_hard(Resource::Nofile), u64::try_from(cores).ok()?).ok()
}

/// A line about the kernel queueing fewer clients than `LISTEN_BACKLOG` says, if that is so
/// (listen(2)).
pub(crate) fn short_backlog(backlog: u32) -> Option<String> {
    const SOMAXCONN: &str = "/proc/sys/net/core/somaxconn";
    let most: u32 = std::fs::read_to_string(SOMAXCONN).ok()?.trim().parse().ok()?;
    (backlog > most).then(|| {
        format!(
            "LISTEN_BACKLOG is {backlog}, but the kernel lets only {most} clients wait: raise \
             sysctl net.core.somaxconn, or lower LISTEN_BACKLOG"
        )
    })
}

/// Checks the kernel, `io_uring` and the resource limits for a data plane on `cores` cores, and
/// raises the soft limits as far as the hard ones allow.
///
/// # Errors
/// Everything that is missing.
pub(crate) fn check(cores: usize) -> Result<Capacity, PreflightError> {
    let Examination { kernel, io_uring, memlock, nofile } = examine(cores);
    let capacity = nofile.as_ref().ok().copied();
    let checks = [kernel.map(drop), io_uring, memlock.map(drop), nofile.map(drop)];
    let causes: Vec<_> = checks.into_iter().filter_map(Result::err).collect();
    capacity.filter(|_| causes.is_empty()).ok_or(PreflightError(causes))
}

/// What each check found: what there is, or the cause with its remedy.
#[derive(Debug)]
pub(crate) struct Examination {
    /// The kernel's release.
    pub(crate) kernel: Result<String, String>,
    /// Good where the kernel is too old: that fails the probe as well, which would only obscure
    /// the cause.
    pub(crate) io_uring: Result<(), String>,
    /// The limit in bytes, `None` where there is none.
    pub(crate) memlock: Result<Option<u64>, String>,
    /// What there is room for.
    pub(crate) nofile: Result<Capacity, String>,
}

/// As [`check`], one by one.
pub(crate) fn examine(cores: usize) -> Examination {
    let nofile = raise_to_hard(Resource::Nofile);
    let memlock = raise_to_hard(Resource::Memlock);
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let kernel = check_kernel(&release);
    let io_uring = match &kernel {
        Ok(()) => check_io_uring(&dataplane::probe_io_uring()),
        Err(_) => Ok(()),
    };
    let cores = u64::try_from(cores).unwrap_or(u64::MAX);
    let needed = memlock_needed(cores, may_lock_any_memory());
    Examination {
        kernel: kernel.map(|()| release),
        io_uring,
        memlock: check_memlock(memlock, needed).map(|()| memlock),
        nofile: check_nofile(nofile, cores),
    }
}

/// The soft limit afterwards; `None` is unlimited. Raising it needs no privilege (setrlimit(2)).
fn raise_to_hard(resource: Resource) -> Option<u64> {
    let limit = getrlimit(resource);
    // If it is refused all the same, the limit as it stays decides.
    let _ = setrlimit(resource, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(resource).current
}

fn check_kernel(release: &str) -> Result<(), String> {
    let (major, minor) = KERNEL_MIN;
    match kernel_version(release) {
        Some(version) if version >= KERNEL_MIN => Ok(()),
        _ => Err(format!(
            "Linux {} is too old: {major}.{minor} or later is needed, for io_uring; run it on \
             Amazon Linux 2023, Debian 12, Ubuntu 24.04 or later",
            release.escape_debug()
        )),
    }
}

/// Major and minor of a release such as `6.1.0-18-amd64`.
fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn check_io_uring(probe: &io::Result<()>) -> Result<(), String> {
    let Err(error) = probe else { return Ok(()) };
    let remedy = match error.raw_os_error().map(Errno::from_raw_os_error) {
        // The switch since Linux 6.6, or a seccomp filter such as Docker's.
        Some(Errno::PERM) => {
            "it is not allowed here: set sysctl kernel.io_uring_disabled=0, and in a container \
             use a seccomp profile that allows io_uring_setup, io_uring_enter and \
             io_uring_register (Docker: --security-opt seccomp=FILE)"
        }
        Some(Errno::NOSYS) => {
            "the kernel has none: use one built with CONFIG_IO_URING, and a sandbox that passes \
             io_uring_setup on"
        }
        Some(Errno::NOMEM) => {
            "there is no memory for its queues: raise LimitMEMLOCK (systemd), which is counted per \
             user, or the memory limit of the container"
        }
        Some(Errno::MFILE | Errno::NFILE) => {
            "there is no descriptor left: raise LimitNOFILE (systemd) or fs.file-max"
        }
        _ => "the kernel lacks a feature that is needed: use Linux 6.1 or later",
    };
    Err(format!("io_uring cannot be used ({error}); {remedy}"))
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

fn check_nofile(limit: Option<u64>, cores: u64) -> Result<Capacity, String> {
    let fixed = NOFILE_BASE.saturating_add(NOFILE_PER_CORE.saturating_mul(cores));
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
    fn kernels_are_compared_by_number() {
        for release in ["6.1.0-18-amd64", "6.10.2", "7.0-rc1", "10.2.3", "6.1"] {
            assert_eq!(check_kernel(release), Ok(()), "{release}");
        }
        for release in ["6.0.19", "5.15.0-1051-aws", "4.18", "garbage", "6", ""] {
            let error = check_kernel(release).unwrap_err();
            assert!(error.contains("6.1 or later is needed"), "{error}");
        }
    }

    #[test]
    fn a_denied_ring_comes_with_its_remedy() {
        let shown = |errno: Errno| check_io_uring(&Err(errno.into())).unwrap_err();
        assert!(shown(Errno::PERM).contains("kernel.io_uring_disabled=0"));
        assert!(shown(Errno::NOSYS).contains("CONFIG_IO_URING"));
        assert!(shown(Errno::INVAL).contains("Linux 6.1"));
    }

    #[test]
    fn limits_are_enough_from_the_documented_minimum() {
        assert_eq!(memlock_needed(4, true), 524_288);
        assert_eq!(memlock_needed(1, false), 655_360);
        assert_eq!(memlock_needed(2, false), 1_310_720);
        assert!(check_memlock(Some(655_360), 655_360).is_ok());
        assert!(check_memlock(None, u64::MAX).is_ok());
        assert!(check_memlock(Some(655_359), 655_360).unwrap_err().contains("LimitMEMLOCK"));
        let room = |limit, cores| check_nofile(limit, cores).unwrap().connections_max;
        assert_eq!(room(Some(127), 2), 1);
        assert_eq!(room(Some(150), 2), 11);
        assert_eq!(room(Some(1_048_576), 2), (1_048_576 - 109 - 1024) / 2);
        assert!(room(None, 1024) > 1 << 40);
        assert!(check_nofile(Some(125), 2).unwrap_err().contains("need at least 127"));
        let probes = |limit| check_nofile(limit, 2).unwrap().probes_max;
        assert_eq!([probes(Some(150)), probes(Some(1024)), probes(None)], [18, 128, 1024]);
    }
}
