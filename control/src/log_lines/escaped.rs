use std::fmt::{self, Write};

/// Longest piece of foreign text that goes into one message, in characters.
const MAX_CHARS: usize = 100;

/// Foreign text as it may appear in a log line or an error: control characters are escaped, so
/// that it can neither forge a line nor drive a terminal, and its length is bounded.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.0.chars();
        for c in chars.by_ref().take(MAX_CHARS) {
            // U+2028 and U+2029 end a line for some readers; the U+202x and U+206x embeddings
            // reorder what is shown. escape_debug knows them all, but also escapes quotes.
            if matches!(c, '"' | '\'' | '\\') {
                f.write_char(c)?;
            } else {
                write!(f, "{}", c.escape_debug())?;
            }
        }
        if chars.next().is_some() { f.write_str("…") } else { Ok(()) }
    }
}

/// A name as it may appear in a log line: as [`Escaped`], in quotation marks, so that blanks at its
/// ends are seen.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", Escaped(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_not_sent() {
        assert_eq!(Escaped("a\nb\x1b[31m\u{202e}é'").to_string(), "a\\nb\\u{1b}[31m\\u{202e}é'");
    }

    #[test]
    fn long_text_is_cut() {
        let shown = Escaped(&"x".repeat(5000)).to_string();
        assert_eq!(shown.chars().count(), MAX_CHARS + 1);
        assert!(shown.ends_with('…'));
        assert_eq!(Escaped(&"x".repeat(MAX_CHARS)).to_string().chars().count(), MAX_CHARS);
    }
}
