//! How long files and functions are, and how much stands in one folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::tokens::{self, Token};

const FOLDERS: &[&str] =
    &[".ci", "benches", "control", "dataplane", "exchange", "scripts", "src", "testkit", "tests"];
/// What tools leave behind.
const LEFT_BEHIND: &[&str] = &["__pycache__", "target", ".ruff_cache"];

/// A language that the repository's programs are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Rust,
    Python,
    Shell,
}

impl Language {
    /// By the name or the first line; `None` for what is no program.
    fn of(path: &Path) -> Option<Self> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => Some(Self::Rust),
            Some("py") => Some(Self::Python),
            Some("sh") => Some(Self::Shell),
            Some(_) => None,
            None => {
                let text = fs::read_to_string(path).ok()?;
                let first = text.lines().next().filter(|line| line.starts_with("#!"))?;
                Some(if first.contains("python") { Self::Python } else { Self::Shell })
            }
        }
    }
}

/// Every program's file under `root`.
pub(crate) fn programs(root: &Path) -> Vec<(PathBuf, Language)> {
    let files = folders(root).into_iter().flat_map(|folder| entries(&folder));
    let at_root = entries(root);
    let files = files.chain(at_root).filter(|path| path.is_file());
    files.filter_map(|path| Language::of(&path).map(|language| (path, language))).collect()
}

/// Every folder of source code under `root`.
pub(crate) fn folders(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut queue: Vec<_> = FOLDERS.iter().map(|name| root.join(name)).collect();
    while let Some(folder) = queue.pop() {
        if folder.is_dir() {
            queue.extend(entries(&folder).into_iter().filter(|path| path.is_dir()));
            found.push(folder);
        }
    }
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let listed =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = listed.map(|entry| entry.expect("the entry is readable").path());
    paths.filter(|path| !LEFT_BEHIND.iter().any(|name| path.ends_with(name))).collect()
}

/// What stands in a folder: `foo.rs` and `foo/` are one.
pub(crate) fn names(folder: &Path) -> BTreeSet<String> {
    let names = entries(folder).into_iter().filter_map(|path| {
        let is_module = path.extension().is_some_and(|extension| extension == "rs");
        let name = if is_module { path.file_stem() } else { path.file_name() };
        name.map(|name| name.to_string_lossy().into_owned())
    });
    names.collect()
}

/// Names in a folder that differ in the dash alone.
pub(crate) fn look_alikes(folder: &Path) -> Vec<BTreeSet<String>> {
    let mut alike: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in names(folder) {
        let stem = name.split('.').next().unwrap_or_default().replace('-', "_");
        alike.entry(stem).or_default().insert(name.clone());
    }
    alike.retain(|_, names| {
        let stems: BTreeSet<_> = names.iter().map(|name| name.split('.').next()).collect();
        stems.len() > 1
    });
    alike.into_values().collect()
}

/// Each function's name, line and length in lines.
pub(crate) fn functions(source: &str, language: Language) -> Vec<(String, usize, usize)> {
    match language {
        Language::Rust => of_rust(&tokens::of(source)),
        Language::Python => of_python(source),
        Language::Shell => of_shell(source),
    }
}

fn of_rust(tokens: &[Token]) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let Some(name) = tokens.get(at + 1).filter(|name| token.is("fn") && name.is_word()) else {
            continue;
        };
        let Some(open) = tokens::find(tokens, at, &["{", ";"]) else { continue };
        if tokens[open].is("{") {
            let last = tokens::behind(tokens, open) - 1;
            found.push((name.text.clone(), token.line, tokens[last].line + 1 - token.line));
        }
    }
    found
}

fn of_python(source: &str) -> Vec<(String, usize, usize)> {
    let lines: Vec<_> = source.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let definition = line.trim_start().trim_start_matches("async ");
        let Some(rest) = definition.strip_prefix("def ") else { continue };
        let name = rest.split('(').next().unwrap_or_default().to_owned();
        let mut end = start;
        for (number, later) in lines.iter().enumerate().skip(start + 1) {
            let is_over = indent(later) <= indent(line) && !later.starts_with([')', ' ', '"']);
            if later.trim().is_empty() {
                continue;
            }
            if is_over || indent(later) <= indent(line) && !later.trim_start().starts_with(')') {
                break;
            }
            end = number;
        }
        found.push((name, start + 1, end + 1 - start));
    }
    found
}

fn of_shell(source: &str) -> Vec<(String, usize, usize)> {
    let lines: Vec<_> = source.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = line.strip_suffix("() {") else { continue };
        let length = lines[start..].iter().position(|line| *line == "}").map_or(1, |end| end + 1);
        found.push((name.to_owned(), start + 1, length));
    }
    found
}
