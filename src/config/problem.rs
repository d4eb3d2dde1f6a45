use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use super::parsed_values::ParsedValues;

/// A configuration that cannot be used.
#[derive(Debug)]
pub(crate) struct Refused {
    /// What is wrong with the values themselves; not empty.
    pub(crate) problems: Vec<Problem>,
    /// The good values that can be tried on this machine.
    pub(crate) values: ParsedValues,
}

/// One variable whose value cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) name: Cow<'static, str>,
    /// Escaped; `None` where the variable is not set.
    value: Option<String>,
    /// What is wrong and what is accepted.
    reason: String,
    /// Whether the same value may be good later.
    is_temporary: bool,
}

/// Longer values are cut in messages; the reason names the part that matters.
const VALUE_CHARS_MAX: usize = 200;

impl Problem {
    /// `value` as found, `None` where it is unset. `reason` says what is wrong and what is accepted;
    /// control characters in it are escaped too, since it may quote the value.
    pub(crate) fn new(
        name: impl Into<Cow<'static, str>>,
        value: Option<&str>,
        reason: &str,
    ) -> Self {
        let (value, reason) = (value.map(escape), escape_controls(reason));
        Self { name: name.into(), value, reason, is_temporary: false }
    }

    /// The same problem, if the same value may be good later: an address that is not there yet, a
    /// port in use, a file that is missing.
    pub(crate) fn temporary_if(self, is_temporary: bool) -> Self {
        Self { is_temporary, ..self }
    }

    pub(super) fn not_utf8(name: &'static str, value: &OsStr) -> Self {
        let escaped = value.as_bytes().escape_ascii().to_string();
        let reason = "is not valid UTF-8; accepted: text in UTF-8".to_owned();
        Self { name: name.into(), value: Some(cut(&escaped)), reason, is_temporary: false }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}=\"{value}\" {}", self.name, self.reason),
            None => write!(f, "{} {}", self.name, self.reason),
        }
    }
}

/// Everything that is wrong with the configuration; not empty. Displayed as one message.
#[derive(Debug)]
pub(crate) struct ConfigError(pub(crate) Vec<Problem>);

impl ConfigError {
    /// Whether time may mend all of it.
    pub(crate) fn is_temporary(&self) -> bool {
        self.0.iter().all(|problem| problem.is_temporary)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.iter().map(|problem| &*problem.name).collect::<BTreeSet<_>>().len();
        let variables = if count == 1 { "variable" } else { "variables" };
        write!(f, "the configuration cannot be used ({count} {variables}):")?;
        for problem in &self.0 {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

fn escape(value: &str) -> String {
    cut(&value.escape_debug().to_string())
}

fn cut(value: &str) -> String {
    match value.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

fn escape_controls(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_bytes_never_reach_the_terminal() {
        let problem = Problem::new("PORT", Some("\x1b[2J\"\n"), "has \"\x07\" in it");
        assert_eq!(problem.to_string(), r#"PORT="\u{1b}[2J\"\n" has "\u{7}" in it"#);
        let problem = Problem::not_utf8("HOST", OsStr::from_bytes(b"a\xff\x1b"));
        assert!(problem.to_string().starts_with(r#"HOST="a\xff\x1b" is not valid UTF-8"#));
    }

    #[test]
    fn a_variable_with_two_problems_is_one_variable() {
        let problem = |name, reason| Problem::new(name, Some("1"), reason);
        let error = ConfigError(vec![problem("PORT", "is a"), problem("PORT", "is b")]);
        assert!(error.to_string().contains("(1 variable)"), "{error}");
        let error = ConfigError(vec![problem("PORT", "is a"), problem("HOST", "is b")]);
        assert!(error.to_string().contains("(2 variables)"), "{error}");
    }

    #[test]
    fn time_mends_a_configuration_only_if_it_mends_every_problem() {
        let problem = |may_pass| Problem::new("PORT", Some("1"), "is a").temporary_if(may_pass);
        assert!(ConfigError(vec![problem(true), problem(true)]).is_temporary());
        assert!(!ConfigError(vec![problem(true), problem(false)]).is_temporary());
        assert!(!ConfigError(vec![problem(false)]).is_temporary());
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let shown = Problem::new("TARGETS", Some(&"é".repeat(1000)), "is long").to_string();
        assert!(shown.chars().count() < VALUE_CHARS_MAX + 30, "{shown}");
        assert!(shown.ends_with("é…\" is long"), "{shown}");
    }
}
