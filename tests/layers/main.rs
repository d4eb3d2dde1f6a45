//! The layers hold: what each crate may reach, where `unsafe` may stand, which file may import
//! which, and how large files, folders, functions and types may be.

mod imports;
mod modules;
mod offences;
mod sizes;
mod tokens;
mod types;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const BINARY: &str = "stateless-load-balancer";
const TESTKIT: &str = "testkit";
const GLOMMIO: &str = "glommio-ng";
const ALL_FEATURES: &str = "--all-features";

/// Package name → names of its direct dependencies of every kind, for this platform.
type Graph = BTreeMap<String, BTreeSet<String>>;

#[test]
fn control_and_dataplane_do_not_know_each_other() {
    let graph = dependency_graph();
    assert_unreachable(&graph, "control", "dataplane");
    assert_unreachable(&graph, "dataplane", "control");
}

#[test]
fn exchange_knows_neither_plane() {
    let graph = dependency_graph();
    assert_unreachable(&graph, "exchange", "control");
    assert_unreachable(&graph, "exchange", "dataplane");
}

#[test]
fn the_testkit_knows_nobody_and_only_tests_know_it() {
    let graph = dependency_graph();
    for member in ["control", "dataplane", "exchange", BINARY] {
        assert_unreachable(&graph, TESTKIT, member);
        let kinds = kinds_of_dependency(member, TESTKIT);
        assert_eq!(kinds, ["dev"], "{member} may use {TESTKIT} in its tests only");
    }
}

#[test]
fn each_runtime_stays_in_its_plane() {
    let graph = dependency_graph();
    let members = ["control", "dataplane", "exchange", TESTKIT, BINARY];
    for (runtime, allowed) in [(GLOMMIO, "dataplane"), ("tokio", "control")] {
        assert!(reachable(&graph, allowed).contains(runtime), "{allowed} no longer uses {runtime}");
        for member in members.iter().filter(|name| **name != allowed && **name != BINARY) {
            assert_unreachable(&graph, member, runtime);
        }
    }
    // The binary reaches glommio through dataplane alone.
    assert!(!graph[BINARY].contains(GLOMMIO), "the binary depends on {GLOMMIO} itself");
    let mut without_dataplane = graph;
    without_dataplane.remove("dataplane");
    assert_unreachable(&without_dataplane, BINARY, GLOMMIO);
}

#[test]
fn aws_comes_in_through_control_and_its_feature_alone() {
    let mut graph = dependency_graph();
    assert!(!aws_crates(&graph, "control").is_empty(), "control no longer uses AWS");
    for member in ["exchange", "dataplane", TESTKIT] {
        assert_eq!(aws_crates(&graph, member), BTreeSet::new(), "{member}");
    }
    graph.remove("control");
    assert_eq!(aws_crates(&graph, BINARY), BTreeSet::new());

    let without = dependency_graph_with("--no-default-features");
    for member in ["control", BINARY] {
        assert!(without.contains_key(member));
        assert_eq!(aws_crates(&without, member), BTreeSet::new(), "{member}");
    }
}

#[test]
fn one_module_names_aws_crates() {
    let crates: BTreeSet<_> = aws_crates(&dependency_graph(), "control")
        .into_iter()
        .map(|name| name.replace('-', "_"))
        .collect();
    let mut found = 0;
    for path in sources() {
        let relative = path.strip_prefix(root()).expect("found under the root");
        let text = read(&path);
        let is_identifier = |c: char| c.is_alphanumeric() || c == '_';
        let names = text.split(|c| !is_identifier(c)).filter(|word| crates.contains(*word)).count();
        if relative.starts_with("control/src/discovery/ec2") {
            found += names;
        } else {
            assert_eq!(names, 0, "{} names an AWS crate", relative.display());
        }
    }
    assert!(found > 0, "the module is not where this test looks for it");
}

/// The crates of AWS that `from` depends on, directly or not.
fn aws_crates(graph: &Graph, from: &str) -> BTreeSet<String> {
    let crates = reachable(graph, from).into_iter();
    crates.filter(|name| name.starts_with("aws-")).collect()
}

#[test]
fn the_rules_are_about_every_member() {
    let listed: BTreeSet<_> = metadata(ALL_FEATURES)["workspace_members"]
        .as_array()
        .expect("cargo lists the members")
        .iter()
        .map(|id| id.as_str().expect("an id is a string").to_owned())
        .collect();
    assert_eq!(listed.len(), 5, "a new crate needs rules of its own here: {listed:?}");
}

/// The testkit gives it ports that are free: no test depends on those that are the default.
#[test]
fn only_the_testkit_starts_the_binary() {
    let word = concat!("CARGO_BIN", "_EXE");
    let starts = |path: &PathBuf| read(path).contains(word);
    let found: Vec<_> = sources().into_iter().filter(starts).collect();
    assert_eq!(found, [root().join("testkit/src/balancer/binary.rs")]);
}

#[test]
fn only_the_ring_is_unsafe() {
    // Spelled in two halves, or this file would find itself.
    let words = [concat!("un", "safe"), concat!("un", "safe_code")];
    for path in sources() {
        let relative = path.strip_prefix(root()).expect("found under the root");
        if relative == Path::new("dataplane/src/sys.rs")
            || relative.starts_with("dataplane/src/sys")
        {
            continue;
        }
        for (index, line) in read(&path).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let is_identifier = |c: char| c.is_alphanumeric() || c == '_';
            let found = code.split(|c| !is_identifier(c)).any(|word| words.contains(&word));
            assert!(!found, "{}:{}: {}", relative.display(), index + 1, line.trim());
        }
    }
}

#[test]
fn no_files_of_a_crate_import_one_another() {
    assert_none(&offences::cycles(root()));
}

#[test]
fn files_are_small() {
    assert_none(&offences::long_files(root()));
}

#[test]
fn folders_are_small() {
    assert_none(&offences::full_folders(root()));
}

#[test]
fn functions_are_short() {
    assert_none(&offences::long_functions(root()));
}

#[test]
fn no_name_is_there_with_a_dash_and_with_an_underscore() {
    assert_none(&offences::look_alikes(root()));
}

#[test]
fn types_have_names_of_their_own() {
    assert_none(&offences::types_of_one_name(root()));
}

#[test]
fn types_are_small() {
    assert_none(&offences::large_types(root()));
}

fn assert_none(offences: &[String]) {
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

fn assert_unreachable(graph: &Graph, from: &str, to: &str) {
    assert!(graph.contains_key(from), "no package named {from}: the rule about it checks nothing");
    if reachable(graph, from).contains(to) {
        let through: Vec<_> = graph[from]
            .iter()
            .filter(|name| *name == to || reachable(graph, name).contains(to))
            .collect();
        panic!("{from} must not depend on {to}, but does, through {through:?}");
    }
}

/// All that `from` depends on, directly or not.
fn reachable(graph: &Graph, from: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut queue = vec![from.to_owned()];
    while let Some(name) = queue.pop() {
        for next in graph.get(&name).into_iter().flatten() {
            if found.insert(next.clone()) {
                queue.push(next.clone());
            }
        }
    }
    found
}

fn dependency_graph() -> Graph {
    dependency_graph_with(ALL_FEATURES)
}

/// The graph with this of cargo's arguments about features.
fn dependency_graph_with(features: &str) -> Graph {
    let metadata = metadata(features);
    let nodes = metadata["resolve"]["nodes"].as_array().expect("cargo resolves the graph");
    let names: BTreeMap<_, _> = metadata["packages"]
        .as_array()
        .expect("cargo lists packages")
        .iter()
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    let mut graph = Graph::new();
    for node in nodes {
        let dependencies = node["deps"].as_array().expect("a node has dependencies").iter();
        // Two versions of a crate share one entry: the stricter reading.
        graph
            .entry(names[text(&node["id"])].to_owned())
            .or_default()
            .extend(dependencies.map(|dependency| names[text(&dependency["pkg"])].to_owned()));
    }
    graph
}

/// In which tables of `from`'s manifest `to` stands: `normal`, `dev` or `build`.
fn kinds_of_dependency(from: &str, to: &str) -> Vec<String> {
    let metadata = metadata(ALL_FEATURES);
    let packages = metadata["packages"].as_array().expect("cargo lists packages");
    let package = packages.iter().find(|it| it["name"] == from).expect("it is a member");
    let all = package["dependencies"].as_array().expect("a package has dependencies").iter();
    let kinds = all.filter(|it| it["name"] == to).map(|it| &it["kind"]);
    kinds.map(|kind| kind.as_str().unwrap_or("normal").to_owned()).collect()
}

fn metadata(features: &str) -> Value {
    // For this platform only: crates of others were never downloaded.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", features])
        .args(["--filter-platform", &platform])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo prints JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("cargo's names and ids are strings")
}

/// Every Rust file of the workspace.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut queue: Vec<_> =
        ["benches", "control", "dataplane", "exchange", "src", "testkit", "tests"]
            .into_iter()
            .map(|name| root().join(name))
            .collect();
    while let Some(directory) = queue.pop() {
        for entry in fs::read_dir(&directory).expect("the directory is readable") {
            let path = entry.expect("the entry is readable").path();
            if path.is_dir() {
                queue.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 10, "the sources are not where this test looks for them");
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
