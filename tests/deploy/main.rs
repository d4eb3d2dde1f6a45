//! What is in `deploy/`, as those understand it whom it is for.
#![allow(clippy::unwrap_used, reason = "this is test code, outside a test function too")]

mod sandbox;
mod sysctl;
mod units;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::balancer::Binary;
use testkit::process::Process;
use testkit::scratch::Scratch;
use testkit::wait::wait_until;

use units::SERVICE;

/// The binary under test.
const BINARY: Binary = testkit::binary!();

/// A file of `deploy/`.
fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

/// The commands of the README's section on deployment.
fn readme_steps() -> String {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"));
    let readme = readme.unwrap();
    let section = readme.lines().skip_while(|line| *line != "## Deployment");
    let steps = section.skip_while(|line| *line != "```sh").skip(1);
    let steps: Vec<_> = steps.take_while(|line| *line != "```").collect();
    steps.join("\n")
}

#[test]
fn what_the_readme_says_on_deployment_starts() {
    let root = Scratch::new();
    fs::create_dir_all(root.path("etc/systemd/system")).unwrap();
    fs::create_dir_all(root.path("etc/sysctl.d")).unwrap();
    let etc = root.path("etc");
    let mut steps = readme_steps();
    for (command, instead) in [("systemctl", ": systemctl"), ("sysctl", ": sysctl"), ("", "")] {
        steps = steps.replace(&format!("sudo {command}"), instead);
    }
    let steps = steps.replace("/etc/", &format!("{}/", etc.display()));
    let mut shell = Command::new("/bin/sh");
    let ran = shell.args(["-e", "-c", &steps]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let ran = ran.unwrap();
    assert!(ran.status.success(), "{steps}\n{}", String::from_utf8_lossy(&ran.stderr));

    let unit = fs::read_to_string(etc.join("systemd/system").join(SERVICE)).unwrap();
    let named = unit.lines().find_map(|line| line.strip_prefix("EnvironmentFile=-/etc/"));
    let variables = fs::read_to_string(etc.join(named.unwrap())).unwrap();
    let mut command = BINARY.command();
    command.envs(variables.lines().map(|line| line.split_once('=').unwrap()));
    let mut balancer = Process::spawn(&mut command);
    wait_until("it accepts clients", || {
        assert!(!balancer.has_ended(), "{}", balancer.stderr());
        balancer.stderr().contains("accepting clients on")
    });
}
