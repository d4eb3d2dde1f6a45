//! What breaks the rules of structure, one line each, by rule.

use std::path::Path;

use crate::modules::Crate;
use crate::{imports, sizes, types};

const FILE_LINES_MAX: usize = 400;
const FOLDER_ENTRIES_MAX: usize = 12;
const FUNCTION_LINES_MAX: usize = 70;
const FIELDS_MAX: usize = 12;
const METHODS_MAX: usize = 25;

/// Whose files still use one another: a balancer of the tests starts others like itself.
const CYCLES: &[&str] = &["testkit"];

/// Still fuller than folders may be; none may be added.
const FULL_FOLDERS: &[&str] = &[];

/// Types that may have more fields, and why.
const MANY_FIELDS: &[(&str, &str)] =
    &[("dataplane::Settings", "one field for each thing that can be set")];

pub(crate) fn cycles(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for (name, whole) in crates(root) {
        if CYCLES.contains(&name.as_str()) {
            continue;
        }
        let imports = imports::of(&whole);
        for cycle in imports::cycles(&imports) {
            found.push(format!("{name}: {} files use one another", cycle.len()));
            for file in &cycle {
                let used: Vec<_> =
                    imports[file].intersection(&cycle).map(|path| shown(root, path)).collect();
                found.push(format!("  {} uses {}", shown(root, file), used.join(", ")));
            }
        }
    }
    found
}

pub(crate) fn long_files(root: &Path) -> Vec<String> {
    let files = sizes::programs(root).into_iter();
    let lengths = files.map(|(path, _)| (crate::read(&path).lines().count(), path));
    let long = lengths.filter(|(lines, _)| *lines > FILE_LINES_MAX);
    long.map(|(lines, path)| format!("{}: {lines} lines", shown(root, &path))).collect()
}

pub(crate) fn full_folders(root: &Path) -> Vec<String> {
    let counts = sizes::folders(root).into_iter().map(|path| (sizes::names(&path).len(), path));
    let full = counts
        .filter(|(entries, _)| *entries > FOLDER_ENTRIES_MAX)
        .filter(|(_, path)| !is_one_of(FULL_FOLDERS, root, path));
    full.map(|(entries, path)| format!("{}: {entries} entries", shown(root, &path))).collect()
}

pub(crate) fn long_functions(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for (path, language) in sizes::programs(root) {
        for (name, line, lines) in sizes::functions(&crate::read(&path), language) {
            if lines > FUNCTION_LINES_MAX {
                found.push(format!("{}:{line}: {name}, {lines} lines", shown(root, &path)));
            }
        }
    }
    found
}

pub(crate) fn look_alikes(root: &Path) -> Vec<String> {
    let alike = sizes::folders(root).into_iter().flat_map(|folder| {
        let found = sizes::look_alikes(&folder).into_iter();
        found.map(move |names| (folder.clone(), names)).collect::<Vec<_>>()
    });
    alike.map(|(folder, names)| format!("{}: {names:?}", shown(root, &folder))).collect()
}

pub(crate) fn types_of_one_name(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for (crate_name, whole) in crates(root) {
        for (name, known) in types::of(&whole) {
            if known.defined_in.len() > 1 {
                let files: Vec<_> = known.defined_in.iter().map(|path| shown(root, path)).collect();
                found.push(format!("{crate_name}: {name} in {}", files.join(", ")));
            }
        }
    }
    found
}

pub(crate) fn large_types(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for (crate_name, whole) in crates(root) {
        for (name, known) in types::of(&whole) {
            let full_name = format!("{crate_name}::{name}");
            let may = MANY_FIELDS.iter().any(|(excepted, _)| *excepted == full_name);
            if known.fields > FIELDS_MAX && !may {
                found.push(format!("{full_name}: {} fields", known.fields));
            }
            if known.methods > METHODS_MAX {
                found.push(format!("{full_name}: {} methods", known.methods));
            }
        }
    }
    found
}

/// The crates of the workspace, by the names of their folders.
fn crates(root: &Path) -> Vec<(String, Crate)> {
    let members = ["control", "dataplane", "exchange", "testkit"];
    let libraries =
        members.iter().map(|name| ((*name).to_owned(), root.join(name).join("src/lib.rs")));
    let binary = ("binary".to_owned(), root.join("src/main.rs"));
    let roots = libraries.chain([binary]).filter(|(_, path)| path.exists());
    roots.map(|(name, path)| (name, Crate::read(&path))).collect()
}

fn is_one_of(listed: &[&str], root: &Path, path: &Path) -> bool {
    listed.iter().any(|name| root.join(name) == path)
}

fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
