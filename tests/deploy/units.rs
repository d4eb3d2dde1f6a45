use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use crate::BINARY;
use crate::deployed;
use testkit::skip::skip;

pub(crate) const SERVICE: &str = "stateless-load-balancer.service";
const UNITS: [&str; 2] = [SERVICE, "stateless-load-balancer.socket"];

/// A directory with the units, in which the program is where the tests have it. Gone afterwards.
pub(crate) struct Units(PathBuf);

impl Units {
    pub(crate) fn new(purpose: &str) -> Self {
        let name = format!("units-{purpose}-{}", process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        for unit in UNITS {
            let text = fs::read_to_string(deployed(unit)).unwrap();
            let installed = "ExecStart=stateless-load-balancer\n";
            assert_eq!(text.matches(installed).count(), usize::from(unit == SERVICE));
            let built = format!("ExecStart={}\n", BINARY.path());
            fs::write(path.join(unit), text.replace(installed, &built)).unwrap();
        }
        Self(path)
    }

    pub(crate) fn paths(&self) -> [PathBuf; 2] {
        UNITS.map(|unit| self.0.join(unit))
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
    let units = Units::new("verify");
    let mut verify = Command::new("systemd-analyze");
    verify.arg("verify").args(units.paths());
    let Ok(output) = verify.output() else {
        return skip("there is no systemd-analyze");
    };
    let said = String::from_utf8_lossy(&output.stderr);
    // It may have something to say of units of the machine, too.
    let is_clean = !said.contains("stateless-load-balancer");
    assert!(output.status.success() && is_clean, "{said}");
}

/// The values of a setting in the unit of the service, in that section.
pub(crate) fn setting(section: &str, name: &str) -> Vec<String> {
    let text = fs::read_to_string(deployed(SERVICE)).unwrap();
    let head = format!("[{section}]");
    let lines = text.lines().skip_while(|line| **line != head).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    let set = lines.filter_map(|line| line.split_once('=')).filter(|(set, _)| *set == name);
    set.map(|(_, value)| value.to_owned()).collect()
}

#[test]
fn the_unit_tries_again_what_time_mends_and_nothing_else() {
    let start = |path: &str, cores: &str| {
        BINARY.run_to_end([("NODE_FILTER", "file"), ("TARGETS_FILE", path), ("CORES", cores)])
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

/// The default of a variable that is a time, in seconds: what `--help` says.
fn default_seconds(variable: &str) -> u64 {
    let output = BINARY.command().arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let mut rows = help.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row.first() == Some(&variable));
    let row = row.unwrap_or_else(|| panic!("--help has no {variable}: {help}"));
    row[1].parse().unwrap()
}

#[test]
fn the_stop_timeout_fits_the_defaults() {
    let longest = default_seconds("SHUTDOWN_DELAY") + default_seconds("SHUTDOWN_TIMEOUT") + 5;
    let timeout: u64 = setting("Service", "TimeoutStopSec")[0].parse().unwrap();
    assert!(timeout > longest, "{timeout} s, but the end may take {longest} s");
}

#[test]
fn a_reload_is_the_signal_that_has_the_target_file_read() {
    assert_eq!(setting("Service", "ExecReload"), ["kill -HUP $MAINPID"]);
}
