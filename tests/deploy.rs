//! What is in `deploy/`, as those understand it whom it is for.
#![allow(clippy::unwrap_used, reason = "this is test code, outside a test function too")]

use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, process};

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
            let built = concat!("ExecStart=", env!("CARGO_BIN_EXE_stateless-load-balancer"), "\n");
            fs::write(path.join(unit), text.replace(installed, built)).unwrap();
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
        let line = "skipped: systemd_understands_its_units: there is no systemd-analyze";
        return writeln!(stderr(), "{line}").unwrap();
    };
    let said = String::from_utf8_lossy(&output.stderr);
    // It may have something to say of units of the machine, too.
    let is_clean = !said.contains("stateless-load-balancer");
    assert!(output.status.success() && is_clean, "{said}");
}
