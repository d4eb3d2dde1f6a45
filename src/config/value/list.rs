use super::Parsed;

/// So many bad entries are told one by one; a list of another kind altogether has no end of them.
const BAD_TOLD_MAX: usize = 20;

/// Takes the comma separated entries of `text` one by one; white space around them is ignored.
///
/// # Errors
/// What is wrong with each one that is refused, and what is `accepted`.
pub(super) fn each(
    text: &str,
    accepted: &str,
    mut take: impl FnMut(&str) -> Parsed<()>,
) -> Parsed<()> {
    let mut bad = Vec::new();
    for entry in text.split(',').map(str::trim) {
        let Err(reason) = take(entry) else { continue };
        // The message begins with the text.
        bad.push(match entry {
            all if all == text.trim() => reason,
            "" => "has a comma too many".to_owned(),
            entry => format!("has `{entry}`, which {reason}"),
        });
    }
    if bad.is_empty() {
        return Ok(());
    }
    let more = match bad.len().saturating_sub(BAD_TOLD_MAX) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    bad.truncate(BAD_TOLD_MAX);
    Err(format!("{}{more}; {accepted}", bad.join("; ")))
}
