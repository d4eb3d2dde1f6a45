use std::error::Error;
use std::fmt::Display;

/// Longest reason, in characters: a chain of causes with what AWS says.
const REASON_CHARS_MAX: usize = 400;

pub(super) fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// `text` without line breaks and other control characters, and not too long.
pub(super) fn one_line(text: &impl Display) -> String {
    let text = text.to_string();
    let mut chars = text.trim().chars();
    let mut line: String = chars
        .by_ref()
        .take(REASON_CHARS_MAX)
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect();
    if chars.next().is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_fits_into_one_line() {
        assert_eq!(one_line(&"a\nb\x1b"), "a\\nb\\u{1b}");
        assert_eq!(one_line(&"é".repeat(1000)).chars().count(), REASON_CHARS_MAX + 1);
    }
}
