use std::collections::HashSet;

use exchange::Target;

use super::endpoint::{self, Endpoint};
use super::label::Label;
use crate::log_lines::escaped::Escaped;

/// Parses `ip[:port][@zone]`, comma separated: what `TARGETS` holds. White space around an entry
/// is ignored. `check` may refuse a target that is well-formed.
///
/// # Errors
/// A phrase naming every bad entry, what is wrong with it and what is accepted.
pub fn parse_targets(
    list: &str,
    default_port: u16,
    check: impl Fn(&Target) -> Result<(), String>,
) -> Result<Vec<Target>, String> {
    if list.trim().is_empty() {
        return Err(format!("is empty; {}", accepted()));
    }
    let mut seen = HashSet::new();
    let mut targets = Vec::new();
    let mut problems = Vec::new();
    for (number, entry) in (1..).zip(list.split(',').map(str::trim)) {
        let target = parse_entry(entry, default_port).and_then(|target| {
            check(&target)?;
            if seen.insert(target.address) {
                return Ok(target);
            }
            let address = target.address;
            Err(format!("`{}` is a duplicate, {address} is there already", Escaped(entry)))
        });
        match target {
            Ok(target) => targets.push(target),
            Err(reason) => problems.push((number, reason)),
        }
    }
    if problems.is_empty() {
        return Ok(targets);
    }
    Err(format!("{}; {}", told(&problems, list), accepted()))
}

/// So many bad entries are told one by one; a list of another kind altogether has no end of them.
const PROBLEMS_TOLD_MAX: usize = 20;

fn told(problems: &[(usize, String)], list: &str) -> String {
    // What is wrong with an entry that is the whole list goes without naming it once more.
    let whole = format!("`{}` ", Escaped(list.trim()));
    if let [(_, reason)] = problems
        && let Some(what) = reason.strip_prefix(&whole)
    {
        return what.to_owned();
    }
    let told = problems.iter().take(PROBLEMS_TOLD_MAX);
    let told: Vec<_> = told.map(|(number, what)| format!("entry {number}: {what}")).collect();
    let told = format!("has bad entries: {}", told.join("; "));
    match problems.len().saturating_sub(PROBLEMS_TOLD_MAX) {
        0 => told,
        more => format!("{told}; and {more} more"),
    }
}

fn accepted() -> String {
    format!(
        "accepted: ip[:port][@zone], comma separated, each address once and that of a server \
         behind the balancer: {}",
        endpoint::ACCEPTED
    )
}

fn parse_entry(entry: &str, default_port: u16) -> Result<Target, String> {
    if entry.is_empty() {
        return Err("empty, a comma is too many".to_owned());
    }
    let (endpoint, zone) = match entry.split_once('@') {
        Some((endpoint, zone)) => (endpoint.trim_end(), Some(zone.trim_start())),
        None => (entry, None),
    };
    let target = Target::at(endpoint.parse::<Endpoint>()?.or_port(default_port));
    let Some(zone) = zone else { return Ok(target) };
    let zone = Label::try_from(zone.to_owned())
        .ok()
        .filter(|zone| zone.given().is_some_and(|name| !name.contains(char::is_whitespace)))
        .ok_or_else(|| {
            format!(
                "`{}` has no valid zone: a name without white space belongs after the @",
                Escaped(entry),
            )
        })?;
    Ok(target.in_zone(zone.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &str, default_port: u16) -> Result<Vec<Target>, String> {
        parse_targets(list, default_port, |_| Ok(()))
    }

    #[test]
    fn names_every_bad_entry_and_says_once_what_is_accepted() {
        let refuse = |target: &Target| {
            if target.address.port() == 9 { Err("it is refused".to_owned()) } else { Ok(()) }
        };
        let error = parse_targets("web,10.0.0.1,10.0.0.1:x,10.0.0.2:9", 80, refuse).unwrap_err();
        for named in ["entry 1: `web`", "entry 3: `10.0.0.1:x`", "entry 4: it is refused"] {
            assert!(error.contains(named), "{error}");
        }
        assert!(!error.contains("entry 2"), "{error}");
        assert_eq!(error.matches("accepted").count(), 1, "{error}");
        let error = parse(&"x,".repeat(100), 80).unwrap_err();
        assert!(error.contains("entry 20: ") && error.contains("; and 81 more; "), "{error}");
    }

    #[test]
    fn reads_entries_with_ports_and_zones() {
        let targets = parse(" 10.0.0.1:80@eu-west-1a ,10.0.0.2, ::1@b ,[::1]:80", 30080).unwrap();
        let shown: Vec<_> = targets
            .iter()
            .map(|t| format!("{} {} {}", t.id, t.address, t.zone.as_deref().unwrap_or("-")))
            .collect();
        assert_eq!(
            shown,
            [
                "10.0.0.1:80 10.0.0.1:80 eu-west-1a",
                "10.0.0.2:30080 10.0.0.2:30080 -",
                "[::1]:30080 [::1]:30080 b",
                "[::1]:80 [::1]:80 -",
            ]
        );
    }

    #[test]
    fn names_what_it_refuses() {
        for (list, named) in [
            ("", "is empty"),
            (" ", "is empty"),
            ("10.0.0.1,", "entry 2: empty, a comma is too many"),
            ("10.0.0.1,,10.0.0.2", "entry 2: empty, a comma"),
            ("web-1", "is not an IP address"),
            ("web-1@a", "entry 1: `web-1` is not an IP address"),
            ("10.0.0.1:0", "has no valid port"),
            ("10.0.0.1@", "has no valid zone"),
            ("10.0.0.1@a b", "has no valid zone"),
            ("10.0.0.1@a\nb", "has no valid zone"),
            ("::1,10.0.0.1@a\nb", "entry 2: `10.0.0.1@a\\nb` has no valid zone"),
            ("10.0.0.1, 10.0.0.1:80", "entry 2: `10.0.0.1:80` is a duplicate"),
            ("10.0.0.1, ::ffff:10.0.0.1", "is a duplicate"),
            ("10.0.0.1@a, 10.0.0.1@b", "is a duplicate"),
        ] {
            let error = parse(list, 80).unwrap_err();
            assert!(error.contains(named), "{list:?}: {error}");
            assert!(error.contains("accepted"), "{list:?}: {error}");
        }
    }
}
