//! How little the service may do beside its work.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use crate::units::{Units, setting};
use testkit::skip::skip;

/// What `systemd-analyze security` may say at most, in tenths: 0 is best, 100 worst.
const EXPOSURE_MAX_TENTHS: u32 = 20;

fn analyze(arguments: &[&str]) -> Option<Output> {
    let output = Command::new("systemd-analyze").args(arguments).output();
    if output.is_err() {
        skip("there is no systemd-analyze");
    }
    output.ok()
}

#[test]
fn the_exposure_is_low() {
    let units = Units::new("security");
    let [service, _] = units.paths();
    let threshold = format!("--threshold={EXPOSURE_MAX_TENTHS}");
    let arguments = ["security", "--offline=true", "--no-pager", &threshold];
    let Some(output) = analyze(&[&arguments[..], &[service.to_str().unwrap()]].concat()) else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("Overall exposure level"), "{said}");
    assert!(output.status.success(), "{said}");
}

/// The calls of a set, those of the sets in it included, as this machine's systemd has them.
fn calls(set: &str) -> Option<BTreeSet<String>> {
    let output = analyze(&["syscall-filter", "--no-pager", set])?;
    let mut found = BTreeSet::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        match line.strip_prefix("    ").map(str::trim) {
            Some(name) if name.starts_with('@') => found.extend(calls(name)?),
            Some(name) if !name.starts_with('#') => _ = found.insert(name.to_owned()),
            _ => {}
        }
    }
    Some(found)
}

/// Which calls the unit allows: its first line says which, later ones take some away (`~`) or add
/// some (systemd.exec(5)).
fn allowed() -> Option<BTreeSet<String>> {
    let mut allowed = BTreeSet::new();
    for line in setting("Service", "SystemCallFilter") {
        let (is_taken, names) =
            line.strip_prefix('~').map_or((false, &*line), |names| (true, names));
        for name in names.split_whitespace() {
            let chosen = if name.starts_with('@') {
                calls(name)?
            } else {
                BTreeSet::from([name.to_owned()])
            };
            if is_taken {
                allowed.retain(|call| !chosen.contains(call));
            } else {
                allowed.extend(chosen);
            }
        }
    }
    Some(allowed)
}

#[test]
fn the_filter_lets_through_what_the_balancer_does() {
    let Some(allowed) = allowed() else { return };
    let needed = [
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "splice",
        "sched_setaffinity",
        "sched_setscheduler",
        "setpriority",
        "prlimit64",
        // The control plane, and credential_process of an AWS profile.
        "epoll_wait",
        "accept4",
        "eventfd2",
        "execve",
        "vfork",
    ];
    let missing: Vec<_> = needed.iter().filter(|call| !allowed.contains(**call)).collect();
    assert!(missing.is_empty(), "not allowed: {missing:?}");
    for call in ["mount", "reboot", "ptrace", "bpf", "init_module", "setuid", "clock_settime"] {
        assert!(!allowed.contains(call), "{call} is allowed");
    }
}

#[test]
fn what_is_forbidden_is_an_error_and_not_the_end() {
    assert_eq!(setting("Service", "SystemCallErrorNumber"), ["EPERM"]);
    assert_eq!(setting("Service", "SystemCallArchitectures"), ["native"]);
}

#[test]
fn the_only_capability_is_to_bind_low_ports() {
    for set in ["CapabilityBoundingSet", "AmbientCapabilities"] {
        assert_eq!(setting("Service", set), ["CAP_NET_BIND_SERVICE"]);
    }
    // Low ports cannot be bound from a user namespace.
    assert!(setting("Service", "PrivateUsers").is_empty());
}
