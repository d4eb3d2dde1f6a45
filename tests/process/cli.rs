//! The command line, black box.

use crate::BINARY;
use testkit::process::{Ended, end};

fn run(argument: &str) -> Ended {
    end(BINARY.command().arg(argument))
}

/// Name, default and meaning, as plain text.
type Row = [String; 3];

/// The table in the README that has the columns Variable, Default and Meaning.
fn readme_rows() -> Vec<Row> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
    let readme = readme.expect("the README is there");
    let rows = readme.lines().map(|line| {
        let cells = line.trim().trim_matches('|').split('|');
        cells.map(|cell| cell.trim().replace('`', "")).collect::<Vec<_>>()
    });
    rows.skip_while(|cells| *cells != ["Variable", "Default", "Meaning"])
        .skip(2)
        .map_while(|cells| Row::try_from(cells).ok())
        .collect()
}

fn help_rows(help: &str) -> Vec<Row> {
    let lines = help.lines().skip_while(|line| !line.starts_with("Environment variables"));
    let row = |line: &str| {
        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        Row::try_from(cells.map(str::to_owned).collect::<Vec<_>>()).ok()
    };
    lines.skip(1).map_while(row).collect()
}

#[test]
fn help_has_a_line_for_each_variable_that_says_what_the_readme_says() {
    let help = run("--help");
    assert_eq!(help.code, Some(0));
    let (help, readme) = (help_rows(&help.stdout), readme_rows());
    assert!(help.len() > 30, "{help:?}");
    for row in &help {
        let is_usual = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        assert!(row[0].bytes().all(is_usual), "{row:?}");
    }
    let table: Vec<_> = help.iter().map(|[n, d, m]| format!("| `{n}` | `{d}` | {m} |")).collect();
    assert_eq!(help, readme, "the README's table should be:\n{}", table.join("\n"));
}

#[test]
fn help_is_a_command_too() {
    let help = run("help");
    assert_eq!((help.code, help.stdout), (Some(0), run("--help").stdout));
}

#[test]
fn version_is_the_packages() {
    let version = run("--version");
    assert_eq!(version.code, Some(0));
    assert_eq!(version.stdout, format!("stateless-load-balancer {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn help_needs_no_valid_environment() {
    assert_eq!(end(BINARY.command().arg("--help").env("PORT", "x")).code, Some(0));
}

#[test]
fn an_argument_that_is_a_variable_says_what_to_set() {
    for arguments in [&["--port", "80"][..], &["--port=80"], &["PORT=80"]] {
        let ended = end(BINARY.command().args(arguments));
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
        assert!(ended.line("set PORT=80").contains("environment"), "{}", ended.stderr);
    }
}

#[test]
fn unknown_arguments_are_refused() {
    for argument in ["--port", "dema", "-x", ""] {
        let ended = run(argument);
        assert_eq!(ended.code, Some(2), "{argument}: {}", ended.stderr);
        assert!(ended.stderr.contains("Usage:"), "{argument}: {}", ended.stderr);
    }
}
