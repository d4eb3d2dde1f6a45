//! What is in `deploy/`, as those understand it whom it is for.
#![allow(clippy::unwrap_used, reason = "this is test code, outside a test function too")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use support::balancer::{Process, command, run_to_end};
use support::scratch::Scratch;
use support::{skip, wait_until};

const UNITS: [&str; 2] = ["stateless-load-balancer.service", "stateless-load-balancer.socket"];

/// A directory with the units, in which the program is where the tests have it. Gone afterwards.
struct Units(PathBuf);

impl Units {
    fn new() -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("units-{}", process::id()));
        fs::create_dir_all(&path).unwrap();
        for unit in UNITS {
            let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
            let text = fs::read_to_string(deploy.join(unit)).unwrap();
            let installed = "ExecStart=/usr/local/bin/stateless-load-balancer\n";
            assert_eq!(text.matches(installed).count(), usize::from(unit.ends_with("service")));
            let built = format!("ExecStart={}\n", command().get_program().to_str().unwrap());
            fs::write(path.join(unit), text.replace(installed, &built)).unwrap();
        }
        Self(path)
    }
}

impl Drop for Units {
    fn drop(&mut self) {
        // What is left over is in the build directory.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn systemd_understands_its_units() {
    let units = Units::new();
    let mut verify = Command::new("systemd-analyze");
    verify.arg("verify").args(UNITS.map(|unit| units.0.join(unit)));
    let Ok(output) = verify.output() else {
        return skip("there is no systemd-analyze");
    };
    let said = String::from_utf8_lossy(&output.stderr);
    // It may have something to say of units of the machine, too.
    let is_clean = !said.contains("stateless-load-balancer");
    assert!(output.status.success() && is_clean, "{said}");
}

/// The values of a setting in the unit of the service, in that section.
fn setting(section: &str, name: &str) -> Vec<String> {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(UNITS[0]);
    let text = fs::read_to_string(unit).unwrap();
    let head = format!("[{section}]");
    let lines = text.lines().skip_while(|line| **line != head).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    let set = lines.filter_map(|line| line.split_once('=')).filter(|(set, _)| *set == name);
    set.map(|(_, value)| value.to_owned()).collect()
}

#[test]
fn the_unit_tries_again_what_time_mends_and_nothing_else() {
    let start = |path: &str, cores: &str| {
        run_to_end([("NODE_FILTER", "file"), ("TARGETS_FILE", path), ("CORES", cores)])
    };
    assert_eq!(setting("Service", "Restart"), ["always"]);
    let given_up = setting("Service", "RestartPreventExitStatus");
    let is_repeated = |code: Option<i32>| !given_up.contains(&code.unwrap().to_string());
    assert!(is_repeated(start("/nonexistent/targets.json", "1").code));
    assert!(!is_repeated(start("/nonexistent/targets.json", "none").code));
    // By default systemd gives up after five starts within ten seconds (systemd.unit(5)).
    assert_eq!(setting("Unit", "StartLimitIntervalSec"), ["0"]);
    assert_eq!(setting("Service", "RestartSec"), ["2"]);
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
    let etc = root.path("etc");
    let steps = readme_steps().replace("sudo systemctl", ": systemctl").replace("sudo ", "");
    let steps = steps.replace("/etc/", &format!("{}/", etc.display()));
    let mut shell = Command::new("/bin/sh");
    let ran = shell.args(["-e", "-c", &steps]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let ran = ran.unwrap();
    assert!(ran.status.success(), "{steps}\n{}", String::from_utf8_lossy(&ran.stderr));

    let unit = fs::read_to_string(etc.join("systemd/system").join(UNITS[0])).unwrap();
    let named = unit.lines().find_map(|line| line.strip_prefix("EnvironmentFile=-/etc/"));
    let variables = fs::read_to_string(etc.join(named.unwrap())).unwrap();
    let mut command = command();
    command.envs(variables.lines().map(|line| line.split_once('=').unwrap()));
    let mut balancer = Process::spawn(&mut command);
    wait_until("it accepts clients", || {
        assert!(!balancer.has_ended(), "{}", balancer.stderr());
        balancer.stderr().contains("accepting clients on")
    });
}
