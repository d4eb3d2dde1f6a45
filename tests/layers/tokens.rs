//! The words of a Rust file, without comments, literals and what is compiled for tests only.

/// A word or a sign, and the line it stands in.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

impl Token {
    pub(crate) fn is(&self, text: &str) -> bool {
        self.text == text
    }

    pub(crate) fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// All tokens of a file; `::` is one, every other sign is one for itself.
pub(crate) fn of(source: &str) -> Vec<Token> {
    let characters: Vec<char> = source.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < characters.len() {
        let end = end_of_token(&characters, at);
        let text: String = characters[at..end].iter().collect();
        let first = characters[at];
        let is_literal =
            first == '"' || text.ends_with('"') || text.ends_with('#') && text.len() > 1;
        let is_comment = text.starts_with("//") || text.starts_with("/*");
        let is_number = first.is_ascii_digit();
        if !(first.is_whitespace() || first == '\'' || is_literal || is_comment || is_number) {
            found.push(Token { text: text.trim_start_matches("r#").to_owned(), line });
        }
        line += text.matches('\n').count();
        at = end;
    }
    found
}

fn end_of_token(characters: &[char], at: usize) -> usize {
    let peek = |ahead: usize| characters.get(at + ahead).copied().unwrap_or('\0');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    match (peek(0), peek(1)) {
        ('/', '/') => position(characters, at, |c| c == '\n'),
        ('/', '*') => end_of_comment(characters, at),
        ('"', _) => end_of_string(characters, at + 1),
        ('b' | 'c', '"') => end_of_string(characters, at + 2),
        ('b', '\'') => end_of_character(characters, at + 1),
        ('r', '"' | '#') if !is_word(peek(2)) || peek(1) == '"' => end_of_raw(characters, at + 1),
        ('b' | 'c', 'r') if matches!(peek(2), '"' | '#') => end_of_raw(characters, at + 2),
        ('r', '#') => position(characters, at + 2, |c| !is_word(c)),
        ('\'', _) => end_of_character(characters, at),
        (':', ':') => at + 2,
        (first, _) if is_word(first) => position(characters, at, |c| !is_word(c)),
        _ => at + 1,
    }
}

fn position(characters: &[char], from: usize, stop: impl Fn(char) -> bool) -> usize {
    characters[from..].iter().position(|c| stop(*c)).map_or(characters.len(), |ahead| from + ahead)
}

fn end_of_comment(characters: &[char], at: usize) -> usize {
    let (mut depth, mut at) = (0, at);
    while at + 1 < characters.len() {
        match (characters[at], characters[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') if depth == 1 => return at + 2,
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    characters.len()
}

fn end_of_string(characters: &[char], mut at: usize) -> usize {
    while at < characters.len() && characters[at] != '"' {
        at += if characters[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(characters.len())
}

/// `at` is where the signs before the quote begin.
fn end_of_raw(characters: &[char], at: usize) -> usize {
    let quote = position(characters, at, |c| c != '#');
    let hashes = quote - at;
    let is_end = |end: &usize| {
        characters[*end] == '"'
            && characters[*end + 1..].iter().take_while(|c| **c == '#').count() >= hashes
    };
    (quote + 1..characters.len()).find(is_end).map_or(characters.len(), |end| end + 1 + hashes)
}

/// Of a character, or of a lifetime.
fn end_of_character(characters: &[char], at: usize) -> usize {
    if characters.get(at + 1) == Some(&'\\') {
        return position(characters, at + 3, |c| c == '\'') + 1;
    }
    if characters.get(at + 2) == Some(&'\'') {
        return at + 3;
    }
    position(characters, at + 1, |c| !(c.is_alphanumeric() || c == '_'))
}

/// The position behind what the bracket at `open` encloses.
pub(crate) fn behind(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

/// The first position from `from` on, outside of brackets, of one of these signs.
pub(crate) fn find(tokens: &[Token], from: usize, signs: &[&str]) -> Option<usize> {
    let mut at = from;
    while at < tokens.len() {
        if signs.contains(&tokens[at].text.as_str()) {
            return Some(at);
        }
        at = match tokens[at].text.as_str() {
            "{" | "(" | "[" => behind(tokens, at),
            _ => at + 1,
        };
    }
    None
}

/// What is left without the items that have `#[cfg(test)]`.
pub(crate) fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if let Some(end) = end_of_attribute(tokens, at) {
            let words: Vec<_> = tokens[at..end].iter().map(|token| token.text.as_str()).collect();
            if words.contains(&"cfg") && words.contains(&"test") && !words.contains(&"not") {
                at = end_of_item(tokens, end);
                continue;
            }
        }
        kept.push(tokens[at].clone());
        at += 1;
    }
    kept
}

fn end_of_attribute(tokens: &[Token], at: usize) -> Option<usize> {
    let is_attribute = tokens.get(at)?.is("#") && tokens.get(at + 1)?.is("[");
    is_attribute.then(|| behind(tokens, at + 1))
}

fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    while let Some(end) = end_of_attribute(tokens, at) {
        at = end;
    }
    let is_use = tokens[at..].iter().take(5).any(|token| token.is("use"));
    let signs: &[&str] = if is_use { &[";"] } else { &[";", "{", ",", "}"] };
    match find(tokens, at, signs) {
        Some(end) if tokens[end].is("{") => behind(tokens, end),
        Some(end) if tokens[end].is("}") => end,
        Some(end) => end + 1,
        None => tokens.len(),
    }
}
