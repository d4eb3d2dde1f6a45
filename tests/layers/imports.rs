//! Which files of a crate use which: none may be used, however indirectly, by what it uses.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::modules::{self, Crate, Place};
use crate::tokens::Token;

/// File → the files whose items it names.
pub(crate) type Imports = BTreeMap<PathBuf, BTreeSet<PathBuf>>;

/// What imports what. A `mod` is no import, and neither is a re-export: who uses it imports the file
/// where the item is defined.
pub(crate) fn of(whole: &Crate) -> Imports {
    let mut imports = Imports::new();
    for (number, module) in whole.modules.iter().enumerate() {
        let own = imports.entry(module.file.clone()).or_default();
        for path in paths(&module.tokens) {
            if let Some(Place::Item(defining)) = whole.resolve(number, &path) {
                let file = &whole.modules[defining].file;
                if *file != module.file {
                    own.insert(file.clone());
                }
            }
        }
    }
    imports
}

/// The paths that stand in code or in a private `use`.
fn paths(tokens: &[Token]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let declarations = modules::uses(tokens);
    let mut at = 0;
    while at < tokens.len() {
        if let Some(declaration) = declarations.iter().find(|it| it.start == at) {
            if !declaration.is_export {
                let leaves = modules::leaves(&tokens[declaration.start..declaration.end]);
                found.extend(leaves.into_iter().map(|(name, mut path)| {
                    if name == "*" {
                        path.push("*".to_owned());
                    }
                    path
                }));
            }
            at = declaration.end;
            continue;
        }
        let is_start = tokens[at].is_word()
            && at.checked_sub(1).is_none_or(|at| !tokens[at].is(".") && !tokens[at].is("::"));
        if !is_start {
            at += 1;
            continue;
        }
        let mut path = vec![tokens[at].text.clone()];
        while tokens.get(at + 1).is_some_and(|token| token.is("::"))
            && tokens.get(at + 2).is_some_and(Token::is_word)
        {
            at += 2;
            path.push(tokens[at].text.clone());
        }
        found.push(path);
        at += 1;
    }
    found
}

/// The sets of files that all use one another, directly or not.
pub(crate) fn cycles(imports: &Imports) -> Vec<BTreeSet<PathBuf>> {
    let reached: BTreeMap<_, _> = imports.keys().map(|file| (file, reach(imports, file))).collect();
    let mut found = BTreeSet::new();
    for (file, from_here) in &reached {
        if from_here.contains(*file) {
            let together = from_here.iter().filter(|other| reached[other].contains(*file));
            found.insert(together.cloned().collect::<BTreeSet<_>>());
        }
    }
    found.into_iter().collect()
}

fn reach(imports: &Imports, from: &PathBuf) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut queue = vec![from];
    while let Some(file) = queue.pop() {
        for next in imports.get(file).into_iter().flatten() {
            if found.insert(next.clone()) {
                queue.push(next);
            }
        }
    }
    found
}
