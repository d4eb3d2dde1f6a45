pub(super) mod journal;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::problem::Problem;
use super::table::{LOG_FORMAT, Raw, TABLE, Variable};
use super::value;
use crate::logging::LogFormat;

/// Those of our variables that are set, and not to nothing. Blanks and line ends around a value are
/// no part of it: files and shells add them, and nobody sees them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment(BTreeMap<&'static str, OsString>);

impl Environment {
    /// The environment of this process.
    pub(crate) fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    /// Sets `variable`, over what it was.
    pub(crate) fn set(&mut self, variable: Variable, value: &str) {
        self.0.insert(variable.name, value.into());
    }

    /// Sets `variable` where it is not set.
    pub(crate) fn set_default(&mut self, variable: Variable, value: &str) {
        self.0.entry(variable.name).or_insert_with(|| value.into());
    }

    /// What `variable` is set to; `None` where it is not, or not to UTF-8.
    pub(crate) fn get(&self, variable: Variable) -> Option<&str> {
        self.0.get(variable.name).and_then(|value| value.to_str())
    }

    /// How to say that the start has failed, before the configuration is known to be good: as
    /// `LOG_FORMAT` says, or in plain text where that itself cannot be used.
    pub(crate) fn log_format(&self) -> LogFormat {
        let format = self.get(LOG_FORMAT).and_then(|text| value::log_format(text).ok());
        journal::adapt(format.unwrap_or(LogFormat::Text))
    }

    /// The values as text; each that is none becomes a problem and counts as unset.
    pub(super) fn into_raw(self, problems: &mut Vec<Problem>) -> Raw {
        let mut texts = Vec::with_capacity(self.0.len());
        for (name, value) in self.0 {
            match value.into_string() {
                Ok(text) => texts.push((name.to_owned(), text)),
                Err(value) => problems.push(Problem::not_utf8(name, &value)),
            }
        }
        // envy answers an error only for values that do not fit or come twice: any text fits an
        // optional string, and a map has each name once.
        envy::from_iter(texts).expect("texts fit optional strings")
    }
}

impl FromIterator<(OsString, OsString)> for Environment {
    /// Where a name comes twice, the first holds, as for getenv(3).
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            let ours = TABLE.iter().find(|variable| OsStr::new(variable.name) == name);
            let value = trimmed(value);
            if let Some(variable) = ours
                && !value.is_empty()
            {
                environment.0.entry(variable.name).or_insert(value);
            }
        }
        environment
    }
}

/// As it is where it is not UTF-8: that is a problem of its own.
fn trimmed(value: OsString) -> OsString {
    match value.to_str() {
        Some(text) => text.trim().into(),
        None => value,
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::{HOST, PORT};
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn what_stands_around_a_value_is_no_part_of_it_whatever_the_variable() {
        let padded: Vec<_> = TABLE.iter().map(|it| (it.name, " \t a  b\r\n")).collect();
        let environment = of(&padded);
        for variable in TABLE {
            assert_eq!(environment.get(*variable), Some("a  b"), "{}", variable.name);
        }
        assert_eq!(of(&[("PORT", " \n")]).get(PORT), None, "blanks alone count as unset");
    }

    #[test]
    fn only_our_exact_names_count_and_only_with_a_value() {
        let variables = [("PORT", "1"), ("PORT", "2"), ("port", "3"), ("HOST", ""), ("HOME", "/")];
        let environment = of(&variables);
        assert_eq!(environment.get(PORT), Some("1"));
        assert_eq!(environment.get(HOST), None);
        let raw = environment.into_raw(&mut Vec::new());
        assert_eq!(raw.port.as_deref(), Some("1"));
        assert_eq!(raw.host, None);
    }
}
