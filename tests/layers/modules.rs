//! The modules of a crate: which file each is in, and what each makes known under which name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::tokens::{self, Token};

/// A path is followed through so many re-exports at most.
const HOPS_MAX: usize = 16;

/// A module, in a file of its own or in that of another.
#[derive(Debug, Default)]
pub(crate) struct Module {
    pub(crate) file: PathBuf,
    /// Its own: neither those of modules in the same file nor those of tests.
    pub(crate) tokens: Vec<Token>,
    parent: usize,
    children: BTreeMap<String, usize>,
    uses: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
}

/// All modules of a crate that are compiled without tests; the first is its root.
#[derive(Debug, Default)]
pub(crate) struct Crate {
    pub(crate) modules: Vec<Module>,
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Module(usize),
    /// Something that this module defines.
    Item(usize),
}

impl Crate {
    /// Reads the crate whose root is this file.
    pub(crate) fn read(root: &Path) -> Self {
        let mut made = Self::default();
        let folder = root.parent().expect("a file is in a folder");
        made.read_file(root, folder, 0);
        made
    }

    fn read_file(&mut self, file: &Path, folder: &Path, parent: usize) -> usize {
        let source = crate::read(file);
        let tokens = tokens::without_tests(&tokens::of(&source));
        self.add(file, folder, parent, &tokens)
    }

    fn add(&mut self, file: &Path, folder: &Path, parent: usize, tokens: &[Token]) -> usize {
        let number = self.modules.len();
        self.modules.push(Module { file: file.to_owned(), parent, ..Module::default() });
        let mut own = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            let is_mod = tokens[at].is("mod") && tokens.get(at + 1).is_some_and(Token::is_word);
            let Some(sign) = tokens.get(at + 2).filter(|_| is_mod) else {
                own.push(tokens[at].clone());
                at += 1;
                continue;
            };
            let name = tokens[at + 1].text.clone();
            let inner = folder.join(&name);
            let child = if sign.is("{") {
                let end = tokens::behind(tokens, at + 2);
                let body = &tokens[at + 3..end - 1];
                at = end;
                self.add(file, &inner, number, body)
            } else {
                at += 3;
                let beside = folder.join(format!("{name}.rs"));
                let path = if beside.exists() { beside } else { inner.join("mod.rs") };
                self.read_file(&path, &inner, number)
            };
            self.modules[number].children.insert(name, child);
        }
        for declaration in uses(&own) {
            for (name, path) in leaves(&own[declaration.start..declaration.end]) {
                if name == "*" {
                    self.modules[number].globs.push(path);
                } else {
                    self.modules[number].uses.insert(name, path);
                }
            }
        }
        self.modules[number].tokens = own;
        number
    }

    /// Where this path leads that stands in `module`; `None`: out of the crate.
    pub(crate) fn resolve(&self, module: usize, path: &[String]) -> Option<Place> {
        self.follow(module, path, HOPS_MAX)
    }

    fn follow(&self, module: usize, path: &[String], hops: usize) -> Option<Place> {
        let hops = hops.checked_sub(1)?;
        let (first, mut rest) = path.split_first()?;
        let mut place = match first.as_str() {
            "crate" => Place::Module(0),
            "self" => Place::Module(module),
            "super" => Place::Module(self.modules[module].parent),
            name => self.named(module, name, hops)?,
        };
        while let (Place::Module(inside), Some((name, others))) = (place, rest.split_first()) {
            place = match name.as_str() {
                "self" => place,
                "super" => Place::Module(self.modules[inside].parent),
                name if self.is_unknown(inside, name) => {
                    self.of_globs(inside, name, hops).unwrap_or(Place::Item(inside))
                }
                name => self.named(inside, name, hops)?,
            };
            rest = others;
        }
        Some(place)
    }

    fn is_unknown(&self, module: usize, name: &str) -> bool {
        let module = &self.modules[module];
        !module.children.contains_key(name) && !module.uses.contains_key(name)
    }

    fn named(&self, module: usize, name: &str, hops: usize) -> Option<Place> {
        let known = &self.modules[module];
        if let Some(path) = known.uses.get(name)
            && path.first().is_none_or(|first| first != name || path.len() > 1)
        {
            // A module may have the name of a crate: `use log::info` beside `mod log` does not.
            let is_itself = path.first().is_some_and(|first| first == name);
            if !is_itself {
                return self.follow(module, path, hops);
            }
        }
        known.children.get(name).map(|child| Place::Module(*child))
    }

    /// Where one of the modules that this one re-exports whole has the name.
    fn of_globs(&self, module: usize, name: &str, hops: usize) -> Option<Place> {
        self.modules[module].globs.iter().find_map(|path| {
            let Place::Module(whole) = self.follow(module, path, hops)? else { return None };
            if whole == module {
                return None;
            }
            let tokens = &self.modules[whole].tokens;
            let defines = tokens.windows(2).any(|pair| pair[1].is(name) && is_keyword(&pair[0]));
            defines.then_some(Place::Item(whole))
        })
    }
}

fn is_keyword(token: &Token) -> bool {
    const DEFINING: &[&str] =
        &["fn", "struct", "enum", "union", "trait", "type", "const", "static"];
    DEFINING.contains(&token.text.as_str())
}

/// A `use`, from the word to the semicolon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Declaration {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// It has a visibility: it makes a name known and is no import.
    pub(crate) is_export: bool,
}

/// Every `use` among the tokens, those in functions too.
pub(crate) fn uses(tokens: &[Token]) -> Vec<Declaration> {
    let words = tokens.iter().enumerate().filter(|(_, token)| token.is("use"));
    words
        // `impl Trait + use<'a>` is another thing.
        .filter(|(start, _)| tokens.get(start + 1).is_some_and(|next| !next.is("<")))
        .filter_map(|(start, _)| {
            let end = tokens::find(tokens, start, &[";"])?;
            let before = start.checked_sub(1).map(|before| tokens[before].text.as_str());
            Some(Declaration { start, end, is_export: matches!(before, Some("pub" | ")")) })
        })
        .collect()
}

/// What a `use` makes known: names and the paths they stand for; the name of all is `*`.
pub(crate) fn leaves(declaration: &[Token]) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    branch(&declaration[1..], &[], &mut found);
    found
}

fn branch(tree: &[Token], prefix: &[String], found: &mut Vec<(String, Vec<String>)>) {
    let mut path = prefix.to_vec();
    let mut at = 0;
    while at < tree.len() {
        match tree[at].text.as_str() {
            "::" => {}
            "{" => {
                let end = tokens::behind(tree, at);
                let mut inner = &tree[at + 1..end - 1];
                while !inner.is_empty() {
                    let comma = tokens::find(inner, 0, &[","]).unwrap_or(inner.len());
                    branch(&inner[..comma], &path, found);
                    inner = inner.get(comma + 1..).unwrap_or_default();
                }
                return;
            }
            "*" => return found.push(("*".to_owned(), path)),
            "as" => {
                let name = tree.get(at + 1).map_or("_", |token| token.text.as_str());
                return found.push((name.to_owned(), path));
            }
            "self" if !path.is_empty() => {}
            word => path.push(word.to_owned()),
        }
        at += 1;
    }
    if let Some(last) = path.last() {
        found.push((last.clone(), path.clone()));
    }
}
