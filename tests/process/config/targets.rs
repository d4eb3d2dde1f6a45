//! Targets that cannot be used, and files of them that cannot be read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use testkit::net::port::Port;
use testkit::process::end;
use testkit::scratch::Scratch;
use testkit::skip::skip;

use super::{TEMPORARY, assert_refused, with};
use crate::BINARY;

#[test]
fn targets_that_cannot_be_used_are_named() {
    let port = Port::free();
    let text = port.text();
    let own = format!("127.0.0.9:9,127.0.0.1:{text}");
    let variables = [("PORT", text.as_str()), ("TARGETS", own.as_str())];
    assert_refused(&variables, "TARGETS", &[&format!("127.0.0.1:{text}")]);
    assert_refused(&[("TARGETS", "169.254.169.254:80")], "TARGETS", &["169.254.169.254", "link"]);
    let several = ("TARGETS", "web,10.0.0.1,10.0.0.2:x,169.254.1.1,10.0.0.1");
    let parts = ["entry 1: `web`", "entry 3: `10.0.0.2:x`", "entry 4: ", "entry 5: "];
    assert_refused(&[several], "TARGETS", &parts);
    let parts = ["[2001:db8::1:8000]", "[2001:db8::1]:8000"];
    assert_refused(&[("TARGETS", "2001:db8::1:8000")], "TARGETS", &parts);
    for list in [",", "10.0.0.1,,10.0.0.2", "10.0.0.1:0", "10.0.0.1:x", "10.0.0.1@"] {
        assert_refused(&[("TARGETS", list)], "TARGETS", &[list]);
    }
}

#[test]
fn a_source_of_targets_that_nothing_reads_is_refused_where_none_is_chosen() {
    for (set, told) in [
        (vec![("TARGETS", "127.0.0.9:9")], "static reads TARGETS;"),
        (vec![("TARGETS_FILE", "/etc/targets.json")], "file reads TARGETS_FILE;"),
        (vec![("DNS_NAME", "workers.example")], "dns reads DNS_NAME;"),
        (vec![("TAG_NAME", "role")], "tag reads TAG_NAME;"),
        (vec![("TAG_VALUE", "web"), ("ASG_NAME", "web")], "tag reads TAG_VALUE;"),
        (
            vec![("TARGETS", "127.0.0.9:9"), ("TAG_NAME", "role"), ("TAG_VALUE", "web")],
            "static reads TARGETS, tag reads TAG_NAME, tag reads TAG_VALUE;",
        ),
    ] {
        let unset = [("NODE_FILTER", ""), ("TARGETS", "")];
        let variables = [&unset[..], &set].concat();
        assert_refused(
            &variables,
            &format!("NODE_FILTER is not set: {told}"),
            &["static, file or dns"],
        );
    }
}

fn assert_file_refused(path: &str) {
    let variables = [("NODE_FILTER", "file"), ("TARGETS_FILE", path)];
    let ended = with(&variables);
    assert_eq!(ended.code, TEMPORARY, "{}", ended.stderr);
    assert_eq!(ended.line("TARGETS_FILE").matches(path).count(), 1, "{}", ended.stderr);
}

#[test]
fn a_target_file_has_to_be_there_and_valid() {
    assert_refused(&[("NODE_FILTER", "file")], "TARGETS_FILE", &["not set", "NODE_FILTER=file"]);
    assert_file_refused("/nonexistent/targets.json");
    assert_file_refused("/");
    let scratch = Scratch::new();
    for text in [r#"[{"targets": ["10.0.0.1:80"#, r#"{"targets": 1}"#] {
        scratch.replace("targets.json", text);
        assert_file_refused(scratch.path("targets.json").to_str().unwrap());
    }
    scratch.replace("targets.json", "[\n{\n\"targets\": \"10.0.0.1\"}]");
    let path = scratch.path("targets.json");
    let variables = [("NODE_FILTER", "file"), ("TARGETS_FILE", path.to_str().unwrap())];
    let ended = with(&variables);
    assert_eq!(ended.code, TEMPORARY, "{}", ended.stderr);
    let reason = "is not valid: line 3: targets must be a list of strings";
    assert!(ended.line("TARGETS_FILE").contains(reason), "{}", ended.stderr);
}

#[test]
fn a_target_file_has_to_be_readable() {
    let scratch = Scratch::new();
    scratch.replace("secret.json", "[]");
    let secret = scratch.path("secret.json");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read every file: it has to give that right up first, which setpriv(1) does.
    let is_root = fs::read(&secret).is_ok();
    let mut command = BINARY.command();
    if is_root {
        let rights = "-dac_override,-dac_read_search";
        command = BINARY.shell(&format!("exec setpriv --bounding-set={rights} \"$0\""));
        if Command::new("setpriv").arg("--version").output().is_err() {
            return skip("this is root, and there is no setpriv to become less");
        }
    }
    let ended = end(command.env("NODE_FILTER", "file").env("TARGETS_FILE", secret));
    assert_eq!(ended.code, TEMPORARY, "{}", ended.stderr);
    assert!(ended.line("TARGETS_FILE").contains("ermission denied"), "{}", ended.stderr);
}
