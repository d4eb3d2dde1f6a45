//! What the kernel must have.

use std::io;

use rustix::io::Errno;

use super::findings::{Check, Findings};

/// The first kernel with everything the ring uses, above all the wait that defers task work
/// (`IORING_SETUP_DEFER_TASKRUN`, `io_uring_setup(2)`).
const KERNEL_MIN: (u32, u32) = (6, 1);

/// Looks at the kernel's release and, where that will do, at `io_uring`: a kernel that is too old
/// fails the latter as well, which would only obscure the cause.
pub(super) fn examine(findings: &mut Findings) {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let kernel = check_kernel(&release);
    let is_new_enough = kernel.is_ok();
    findings.result(Check::Kernel, kernel.map(|()| format!("Linux {}", release.escape_debug())));
    if is_new_enough {
        let io_uring = check_io_uring(&dataplane::probe_io_uring());
        findings.result(Check::IoUring, io_uring.map(|()| "can be used".to_owned()));
    }
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
}
