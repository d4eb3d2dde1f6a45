pub(super) mod journal;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::table::{self, LOG_FORMAT, Row, Variable};
use crate::logging::LogFormat;

/// Those of our variables that are set, and not to nothing. Blanks and line ends around a value are
/// no part of it: files and shells add them, and nobody sees them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// By name in lower case, as envy has them.
    texts: BTreeMap<String, String>,
    /// What is no UTF-8. That is a problem of its own; otherwise it counts as unset.
    others: BTreeMap<&'static str, OsString>,
    /// What is set for one service alone, by its port and the variable's name.
    overrides: BTreeMap<(u16, &'static str), String>,
}

/// A variable that is set for one service alone: `NAME_<port>`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Override<'a> {
    pub(crate) port: u16,
    pub(crate) row: &'static Row,
    pub(crate) text: &'a str,
}

/// The name under which a variable is set, its own or an alias, and what to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written<'a> {
    pub(crate) name: &'static str,
    pub(crate) text: &'a str,
}

impl Environment {
    /// The environment of this process.
    pub(crate) fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    /// Sets `variable`, over what it was by any name.
    pub(crate) fn set<T>(&mut self, variable: &Variable<T>, value: &str) {
        for name in variable.row.names() {
            self.texts.remove(&key(name));
            self.others.remove(name);
        }
        self.texts.insert(key(variable.name()), value.to_owned());
    }

    /// Sets `variable` where it is not set.
    pub(crate) fn set_default<T>(&mut self, variable: &Variable<T>, value: &str) {
        let is_set = |name| self.texts.contains_key(&key(name)) || self.others.contains_key(name);
        if !variable.row.names().any(is_set) {
            self.texts.insert(key(variable.name()), value.to_owned());
        }
    }

    /// What `variable` is set to; `None` where it is not, or not to UTF-8.
    pub(crate) fn get<T>(&self, variable: &Variable<T>) -> Option<&str> {
        self.written(&variable.row).map(|written| written.text)
    }

    /// What the variable of `row` is set to, and by which name.
    pub(crate) fn written(&self, row: &Row) -> Option<Written<'_>> {
        self.all_written(row).next()
    }

    /// The same by each of its names.
    pub(super) fn all_written(&self, row: &Row) -> impl Iterator<Item = Written<'_>> + use<'_> {
        row.names().filter_map(|name| Some(Written { name, text: self.texts.get(&key(name))? }))
    }

    /// What is set for one service alone, whether that can be or not.
    pub(super) fn overrides(&self) -> impl Iterator<Item = Override<'_>> {
        self.overrides.iter().filter_map(|(&(port, name), text)| {
            let row = table::rows().find(|row| row.name == name)?;
            Some(Override { port, row, text })
        })
    }

    /// The environment as the service at `port` has it.
    pub(super) fn of_service(&self, port: u16) -> Self {
        let mut own = self.clone();
        for it in self.overrides().filter(|it| it.port == port && it.row.is_per_service()) {
            own.texts.insert(key(it.row.name), it.text.to_owned());
        }
        own
    }

    /// What is set and no text, by name.
    pub(super) fn not_utf8(&self) -> impl Iterator<Item = (&'static str, &OsStr)> {
        self.others.iter().map(|(name, value)| (*name, value.as_os_str()))
    }

    /// How to say that the start has failed, before the configuration is known to be good: as
    /// `LOG_FORMAT` says, or in plain text where that itself cannot be used.
    pub(crate) fn log_format(&self) -> LogFormat {
        let format = (LOG_FORMAT.parse)(self.get(&LOG_FORMAT));
        journal::adapt(format.unwrap_or(LogFormat::Text))
    }
}

impl FromIterator<(OsString, OsString)> for Environment {
    /// Where a name comes twice, the first holds, as for getenv(3).
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Self {
        let (mut texts, mut others) = (BTreeMap::new(), BTreeMap::new());
        let mut overrides = BTreeMap::new();
        for (name, value) in variables {
            if let Some(whose) = name.to_str().and_then(override_name) {
                // What is no text is seen to be wrong by its escaped form.
                let text = value.to_string_lossy().trim().to_owned();
                if !text.is_empty() {
                    overrides.entry(whose).or_insert(text);
                }
                continue;
            }
            let Some(name) = table::rows().flat_map(Row::names).find(|ours| *ours == name) else {
                continue;
            };
            if texts.contains_key(name) || others.contains_key(name) {
                continue;
            }
            match value.into_string().map(|text| text.trim().to_owned()) {
                Ok(text) if text.is_empty() => {}
                Ok(text) => drop(texts.insert(name.to_owned(), text)),
                Err(value) => drop(others.insert(name, value)),
            }
        }
        // envy answers an error only for values that do not fit or come twice: any text fits a map,
        // and a map has each name once.
        let texts = envy::from_iter(texts).expect("texts fit a map of texts");
        Self { texts, others, overrides }
    }
}

/// Whose value `name` is: a service's port, and the variable before it.
pub(super) fn override_name(name: &str) -> Option<(u16, &'static str)> {
    let (name, port) = name.rsplit_once('_')?;
    let digits = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
    let port = port.parse().ok().filter(|_| digits)?;
    Some((port, table::rows().find(|row| row.name == name)?.name))
}

/// The name as envy has it.
fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::super::table::{HOST, POOL_TIMEOUT, PORT, rows};
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn envy_finds_every_variable_under_each_of_its_names() {
        for row in rows() {
            for name in row.names() {
                let environment = of(&[(name, name)]);
                assert_eq!(environment.written(row), Some(Written { name, text: name }));
            }
        }
    }

    #[test]
    fn what_stands_around_a_value_is_no_part_of_it_whatever_the_variable() {
        let padded: Vec<_> = rows().map(|row| (row.name, " \t a  b\r\n")).collect();
        let environment = of(&padded);
        for row in rows() {
            let text = environment.written(row).map(|written| written.text);
            assert_eq!(text, Some("a  b"), "{}", row.name);
        }
        assert_eq!(of(&[("PORT", " \n")]).get(&PORT), None, "blanks alone count as unset");
    }

    #[test]
    fn only_our_exact_names_count_and_only_with_a_value() {
        let variables = [("PORT", "1"), ("PORT", "2"), ("port", "3"), ("HOST", ""), ("HOME", "/")];
        let environment = of(&variables);
        assert_eq!(environment.get(&PORT), Some("1"));
        assert_eq!(environment.get(&HOST), None);
        assert_eq!(environment.texts.len(), 1);
    }

    #[test]
    fn an_alias_counts_where_the_documented_name_is_not_set() {
        assert_eq!(of(&[("CONNECT_TIMEOUT", "1")]).get(&POOL_TIMEOUT), Some("1"));
        let both = of(&[("CONNECT_TIMEOUT", "1"), ("POOL_TIMEOUT", "2")]);
        assert_eq!(both.get(&POOL_TIMEOUT), Some("2"));
        assert_eq!(both.all_written(&POOL_TIMEOUT.row).count(), 2);
        let mut set = of(&[("CONNECT_TIMEOUT", "1")]);
        set.set_default(&POOL_TIMEOUT, "3");
        assert_eq!(set.get(&POOL_TIMEOUT), Some("1"));
        set.set(&POOL_TIMEOUT, "3");
        assert_eq!(set.get(&POOL_TIMEOUT), Some("3"));
        assert_eq!(set.all_written(&POOL_TIMEOUT.row).count(), 1);
    }
}
