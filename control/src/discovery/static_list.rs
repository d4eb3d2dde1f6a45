use std::collections::HashSet;

use exchange::Target;

use super::endpoint::{self, Endpoint};
use super::label::Label;
use crate::escaped::Escaped;

/// Parses `ip[:port][@zone]`, comma separated: what `TARGETS` holds. White space around an entry
/// is ignored.
///
/// # Errors
/// A sentence naming the entry, what is wrong with it and what is accepted.
pub fn parse_targets(list: &str, default_port: u16) -> Result<Vec<Target>, String> {
    if list.trim().is_empty() {
        return Err(format!(
            "the list is empty; accepted is ip[:port][@zone], comma separated: \
             {}",
            endpoint::ACCEPTED
        ));
    }
    let mut seen = HashSet::new();
    let mut targets = Vec::new();
    for (index, entry) in list.split(',').map(str::trim).enumerate() {
        let target = parse_entry(entry, default_port)
            .map_err(|reason| format!("entry {} of the list: {reason}", index + 1))?;
        if !seen.insert(target.address) {
            return Err(format!(
                "entry {} of the list: `{}` is a duplicate, {} is there already; each address \
                 is accepted once",
                index + 1,
                Escaped(entry),
                target.address,
            ));
        }
        targets.push(target);
    }
    Ok(targets)
}

fn parse_entry(entry: &str, default_port: u16) -> Result<Target, String> {
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
                "`{}` has no valid zone; accepted is a name without white space after the @",
                Escaped(entry),
            )
        })?;
    Ok(target.in_zone(zone.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_entries_with_ports_and_zones() {
        let targets =
            parse_targets(" 10.0.0.1:80@eu-west-1a ,10.0.0.2, ::1@b ,[::1]:80", 30080).unwrap();
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
            ("", "the list is empty"),
            (" ", "the list is empty"),
            ("10.0.0.1,", "entry 2 of the list: ``"),
            ("10.0.0.1,,10.0.0.2", "entry 2 of the list: ``"),
            ("web-1", "`web-1`"),
            ("10.0.0.1:0", "`10.0.0.1:0`"),
            ("10.0.0.1@", "`10.0.0.1@` has no valid zone"),
            ("10.0.0.1@a b", "`10.0.0.1@a b` has no valid zone"),
            ("10.0.0.1@a\nb", "`10.0.0.1@a\\nb` has no valid zone"),
            ("10.0.0.1, 10.0.0.1:80", "entry 2 of the list: `10.0.0.1:80` is a duplicate"),
            ("10.0.0.1, ::ffff:10.0.0.1", "is a duplicate"),
            ("10.0.0.1@a, 10.0.0.1@b", "is a duplicate"),
        ] {
            let error = parse_targets(list, 80).unwrap_err();
            assert!(error.contains(named), "{list:?}: {error}");
            assert!(error.contains("accepted"), "{list:?}: {error}");
        }
    }
}
