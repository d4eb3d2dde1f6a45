//! The types of a crate: how often each name is given, how many fields and methods each has.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::modules::Crate;
use crate::tokens::{self, Token};

/// What is known of the types of one name.
#[derive(Debug, Default)]
pub(crate) struct Type {
    pub(crate) defined_in: Vec<PathBuf>,
    pub(crate) fields: usize,
    /// Those of traits too.
    pub(crate) methods: usize,
}

/// Name → type, for what a crate defines outside of tests and functions.
pub(crate) fn of(whole: &Crate) -> BTreeMap<String, Type> {
    let mut found: BTreeMap<String, Type> = BTreeMap::new();
    for module in &whole.modules {
        let tokens = &module.tokens;
        let mut at = 0;
        while at < tokens.len() {
            let next = tokens.get(at + 1);
            match tokens[at].text.as_str() {
                "struct" | "enum" | "union" | "trait" | "type"
                    if next.is_some_and(Token::is_word) =>
                {
                    let name = tokens[at + 1].text.clone();
                    let known = found.entry(name).or_default();
                    known.defined_in.push(module.file.clone());
                    if tokens[at].is("struct") {
                        known.fields = known.fields.max(fields(tokens, at));
                    }
                    at += 1;
                }
                "impl" => {
                    let Some(open) = tokens::find(tokens, at, &["{"]) else { break };
                    if let Some(name) = implementing(&tokens[at + 1..open]) {
                        let end = tokens::behind(tokens, open);
                        found.entry(name).or_default().methods += methods(&tokens[open..end]);
                    }
                    at = open;
                }
                "{" | "(" | "[" => at = tokens::behind(tokens, at),
                _ => at += 1,
            }
        }
    }
    found.retain(|_, known| !known.defined_in.is_empty());
    found
}

fn fields(tokens: &[Token], at: usize) -> usize {
    let Some(open) = tokens::find(tokens, at, &["{", ";", "("]) else { return 0 };
    if !tokens[open].is("{") {
        return 0;
    }
    let body = &tokens[open + 1..tokens::behind(tokens, open) - 1];
    let mut count = 0;
    let mut at = 0;
    while let Some(colon) = tokens::find(body, at, &[":"]) {
        count += 1;
        // Generic arguments hold commas, but no colons.
        at = colon + 1;
    }
    count
}

fn methods(body: &[Token]) -> usize {
    let mut count = 0;
    let mut at = 1;
    while let Some(word) = tokens::find(body, at, &["fn"]) {
        count += 1;
        at = word + 1;
    }
    count
}

/// The name of the type that an `impl` with these words before its brace is for.
fn implementing(header: &[Token]) -> Option<String> {
    let mut depth = 0_usize;
    let mut name = None;
    for (index, token) in header.iter().enumerate() {
        match token.text.as_str() {
            "<" => depth += 1,
            ">" if index > 0 && !header[index - 1].is("-") => depth = depth.saturating_sub(1),
            "where" if depth == 0 => break,
            "for" if depth == 0 => name = None,
            word if depth == 0 && token.is_word() && word != "dyn" => name = Some(word.to_owned()),
            _ => {}
        }
    }
    name
}
