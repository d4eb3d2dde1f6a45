use std::borrow::Cow;
use std::fmt;

use super::environment::override_name;
use super::table;

/// A variable that is set and means nothing here, but is nearly one of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misspelt {
    /// As set, escaped.
    pub(crate) name: String,
    /// What was probably meant.
    pub(crate) meant: Cow<'static, str>,
}

/// Variables of the AWS SDKs that only look like ours.
const UNRELATED: [&str; 2] =
    ["AWS_EC2_METADATA_V1_DISABLED", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"];

impl Misspelt {
    /// Those in the environment of this process, by name.
    pub(crate) fn of_process() -> Vec<Self> {
        let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
        let mut found: Vec<_> = names.filter_map(|name| Self::find(&name)).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// The variable that `name` is, or is nearly.
    pub(crate) fn name_of(name: &str) -> Option<Cow<'static, str>> {
        let documented = documented(name).map(Cow::Borrowed);
        documented.or_else(|| Self::find(name).map(|found| found.meant))
    }

    /// A variable for one service alone whose name before the port is nearly one of ours.
    fn find_override(name: &str) -> Option<Self> {
        let (before, port) = name.rsplit_once('_')?;
        let is_port = port.parse::<u16>().is_ok() && documented(before).is_none();
        let meant = Self::find(before).filter(|_| is_port)?.meant;
        let row = table::rows().find(|row| row.name == meant)?;
        row.is_per_service().then(|| {
            let (name, meant) = (name.escape_debug().to_string(), format!("{meant}_{port}"));
            Self { name, meant: meant.into() }
        })
    }

    fn find(name: &str) -> Option<Self> {
        let is_override = override_name(name).is_some();
        if is_override || documented(name).is_some() || UNRELATED.contains(&name) {
            return None;
        }
        if let Some(found) = Self::find_override(name) {
            return Some(found);
        }
        let set = letters(name);
        let escaped = || name.escape_debug().to_string();
        let is_meant = |row: &&table::Row| row.synonyms.iter().any(|it| letters(it) == set);
        if let Some(row) = table::rows().find(is_meant) {
            return Some(Self { name: escaped(), meant: row.name.into() });
        }
        let ours = table::rows().flat_map(|row| row.names().map(|ours| (ours, row.name)));
        let near = ours.filter_map(|(ours, documented)| {
            let meant = letters(ours);
            let edits_max = edits_max(meant.len());
            // Lengths that differ by more need more edits: no need to count them.
            let comparable = set.len().abs_diff(meant.len()) <= edits_max;
            let edits = comparable.then(|| edits(&set, &meant))?;
            (edits <= edits_max).then_some((edits, documented))
        });
        let (_, meant) = near.min()?;
        Some(Self { name: escaped(), meant: meant.into() })
    }
}

impl fmt::Display for Misspelt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not a variable of the balancer: did you mean {}?", self.name, self.meant)
    }
}

/// The name that the documentation has for what is called `name`, if that is a variable of ours.
fn documented(name: &str) -> Option<&'static str> {
    table::rows().find(|row| row.names().any(|ours| ours == name)).map(|row| row.name)
}

/// What tells names apart: neither case nor underscores.
fn letters(name: &str) -> Vec<char> {
    name.chars().filter(|&c| c != '_').map(|c| c.to_ascii_uppercase()).collect()
}

/// Most edits between a name of so many letters and what may be meant for it. Among short words
/// there are too many neighbours: HOST, HOME, POST.
fn edits_max(letters: usize) -> usize {
    match letters {
        0..=4 => 0,
        5..=8 => 1,
        _ => 2,
    }
}

/// The least number of letters to insert, delete, replace or swap with their neighbour (the optimal
/// string alignment distance).
fn edits(a: &[char], b: &[char]) -> usize {
    let mut before_last = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut count = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                let swapped: &Vec<usize> = &before_last;
                count = count.min(swapped[j - 2] + 1);
            }
            row.push(count);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(name: &str) -> Option<Cow<'static, str>> {
        Misspelt::find(name).map(|found| found.meant)
    }

    #[test]
    fn what_was_meant_is_found() {
        for (name, expected) in [
            ("HEALTHCHECK_PATH", "HEALTH_CHECK_PATH"),
            ("HELATH_CHECK_PATH", "HEALTH_CHECK_PATH"),
            ("TARGET_PORTS", "TARGET_PORT"),
            ("TARGET", "TARGETS"),
            ("TARGET_FILE", "TARGETS_FILE"),
            ("NODE_FILTERS", "NODE_FILTER"),
            ("NODE_CHECK_PEROID", "NODE_CHECK_PERIOD"),
            ("port", "PORT"),
            ("CORE", "CORES"),
            ("HEALTH_CHECK_INTERVAL", "HEALTH_CHECK_PERIOD"),
            ("HEALTHCHECK_INTERVAL", "HEALTH_CHECK_PERIOD"),
            ("LOG_LEVEL", "RUST_LOG"),
            ("MAX_CONNS", "MAX_CONNECTIONS"),
            ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
            ("PORTS", "PORT"),
            ("AWS_REGIONS", "AWS_REGION"),
            ("CONNECT_TIMEOUTS", "POOL_TIMEOUT"),
            ("connect_timeout", "POOL_TIMEOUT"),
            ("HEALTHCHECK_PATH_443", "HEALTH_CHECK_PATH_443"),
            ("BALANCES_80", "BALANCE_80"),
        ] {
            assert_eq!(meant(name).as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn ours_and_strangers_are_left_alone() {
        for name in table::rows().flat_map(table::Row::names) {
            assert_eq!(meant(name), None, "{name}");
        }
        for name in [
            "HOME",
            "POST",
            "HOSTNAME",
            "LOGNAME",
            "LC_NAME",
            "PATH",
            "USER",
            "LANG",
            "TERM",
            "",
            "AWS_DEFAULT_REGION",
            "AWS_EC2_METADATA_V1_DISABLED",
            "AWS_PROFILE",
            "RUST_BACKTRACE",
            "INVOCATION_ID",
            "KUBERNETES_PORT",
            "CARGO_HOME",
            "TMPDIR",
        ] {
            assert_eq!(meant(name), None, "{name}");
        }
    }

    #[test]
    fn edits_are_counted() {
        let edits = |a: &str, b: &str| edits(&letters(a), &letters(b));
        assert_eq!(edits("", "AB"), 2);
        assert_eq!(edits("AB", ""), 2);
        assert_eq!(edits("AB", "BA"), 1);
        assert_eq!(edits("KITTEN", "SITTING"), 3);
        assert_eq!(edits("SAME", "SAME"), 0);
    }
}
