use std::fmt;

use super::table::TABLE;

/// A variable that is set and means nothing here, but is nearly one of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misspelt {
    /// As set, escaped.
    pub(crate) name: String,
    /// What was probably meant.
    pub(crate) meant: &'static str,
}

/// Variables of the AWS SDKs that only look like ours.
const UNRELATED: [&str; 2] =
    ["AWS_EC2_METADATA_V1_DISABLED", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"];

/// Names that others use for what is ours, or that come to mind first, and are too far from ours to
/// be told by their letters.
const ALIASES: [(&str, &str); 16] = [
    ("HEALTH_CHECK_INTERVAL", "HEALTH_CHECK_PERIOD"),
    ("HEALTHCHECK_INTERVAL", "HEALTH_CHECK_PERIOD"),
    ("NODE_CHECK_INTERVAL", "NODE_CHECK_PERIOD"),
    ("DISCOVERY_INTERVAL", "NODE_CHECK_PERIOD"),
    ("DISCOVERY_PERIOD", "NODE_CHECK_PERIOD"),
    ("LOG_LEVEL", "RUST_LOG"),
    ("LOGLEVEL", "RUST_LOG"),
    ("MAX_CONNS", "MAX_CONNECTIONS"),
    ("MAXCONN", "MAX_CONNECTIONS"),
    ("MAX_CONNS_PER_CLIENT", "MAX_CONNECTIONS_PER_CLIENT"),
    ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
    ("CONNECT_TIMEOUT", "POOL_TIMEOUT"),
    ("LISTEN_PORT", "PORT"),
    ("LISTEN_HOST", "HOST"),
    ("BACKENDS", "TARGETS"),
    ("PORTS", "PORT"),
];

impl Misspelt {
    /// Those in the environment of this process, by name.
    pub(crate) fn of_process() -> Vec<Self> {
        let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
        let mut found: Vec<_> = names.filter_map(|name| Self::find(&name)).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// The variable that `name` is, or is nearly.
    pub(crate) fn name_of(name: &str) -> Option<&'static str> {
        let ours = TABLE.iter().find(|ours| ours.name == name).map(|ours| ours.name);
        ours.or_else(|| Self::find(name).map(|found| found.meant))
    }

    fn find(name: &str) -> Option<Self> {
        if TABLE.iter().any(|ours| ours.name == name) || UNRELATED.contains(&name) {
            return None;
        }
        let set = letters(name);
        if let Some((_, meant)) = ALIASES.iter().find(|(alias, _)| letters(alias) == set) {
            return Some(Self { name: name.escape_debug().to_string(), meant });
        }
        let near = TABLE.iter().filter_map(|ours| {
            let meant = letters(ours.name);
            let edits_max = edits_max(meant.len());
            // Lengths that differ by more need more edits: no need to count them.
            let comparable = set.len().abs_diff(meant.len()) <= edits_max;
            let edits = comparable.then(|| edits(&set, &meant))?;
            (edits <= edits_max).then_some((edits, ours.name))
        });
        let (_, meant) = near.min()?;
        Some(Self { name: name.escape_debug().to_string(), meant })
    }
}

impl fmt::Display for Misspelt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not a variable of the balancer: did you mean {}?", self.name, self.meant)
    }
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

    fn meant(name: &str) -> Option<&'static str> {
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
        ] {
            assert_eq!(meant(name), Some(expected), "{name}");
        }
    }

    #[test]
    fn aliases_are_none_of_ours_and_mean_one() {
        for (alias, meant) in ALIASES {
            assert!(TABLE.iter().any(|ours| ours.name == meant), "{meant}");
            assert!(TABLE.iter().all(|ours| ours.name != alias), "{alias}");
        }
    }

    #[test]
    fn ours_and_strangers_are_left_alone() {
        for variable in TABLE {
            assert_eq!(meant(variable.name), None);
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
