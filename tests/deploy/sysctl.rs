//! The kernel settings are a file for sysctl(8) and, with their reasons, for scripts/tune-host.

use std::fs;
use std::path::Path;

use crate::deployed;

const SETTINGS: &str = "60-stateless-load-balancer.conf";

/// Paragraphs: comment lines, and one setting as the last line, but in the first one.
#[test]
fn each_setting_has_its_reason_above_it() {
    let text = fs::read_to_string(deployed(SETTINGS)).unwrap();
    let paragraphs: Vec<Vec<&str>> =
        text.split("\n\n").map(|paragraph| paragraph.lines().collect()).collect();
    let [head, settings @ ..] = &paragraphs[..] else { panic!("{text}") };
    assert!(head.iter().all(|line| line.starts_with("# ")), "{head:?}");
    assert!(!settings.is_empty());
    for paragraph in settings {
        let [reason @ .., setting] = &paragraph[..] else { panic!("{paragraph:?}") };
        assert!(!reason.is_empty(), "{setting} has no reason");
        assert!(reason.iter().all(|line| line.starts_with("# ")), "{paragraph:?}");
        let (name, value) = setting.split_once(" = ").expect("NAME = VALUE");
        assert!(!value.is_empty());
        // What this kernel does not know, none of the supported ones does.
        let path = Path::new("/proc/sys").join(name.replace('.', "/"));
        assert!(path.exists(), "{name} is no setting of the kernel");
    }
}
