use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::log_lines::escaped::Escaped;

/// HTTP status codes, as codes and ranges: `200-399`, `200,204,301-303`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusSet(Vec<RangeInclusive<u16>>);

impl StatusSet {
    /// Whether `status` is in the set.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(f, "{comma}{first}")?,
                (first, last) => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for StatusSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ranges = text.split(',').map(|part| {
            let part = part.trim();
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            match (parse_code(first.trim()), parse_code(last.trim())) {
                (Some(first), Some(last)) if first <= last => Ok(first..=last),
                _ => Err(refusal(part, text)),
            }
        });
        ranges.collect::<Result<_, _>>().map(Self)
    }
}

/// Names `part` where it is not all of `text`, which the message begins with.
fn refusal(part: &str, text: &str) -> String {
    let name =
        if part == text { String::new() } else { format!("has `{}`, which ", Escaped(part)) };
    format!(
        "{name}is no status code or range of them; accepted: codes from 100 to 599 and ranges, \
         comma separated, as in 200-399 or 200,204,301-303"
    )
}

fn parse_code(text: &str) -> Option<u16> {
    let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|code| (100..=599).contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_codes_and_ranges() {
        let set: StatusSet = "200, 204,301-303".parse().unwrap();
        for (status, expected) in
            [(199, false), (200, true), (201, false), (204, true), (300, false), (303, true)]
        {
            assert_eq!(set.contains(status), expected, "{status}");
        }
        assert_eq!(set.to_string(), "200,204,301-303");
    }

    #[test]
    fn refuses_everything_else_by_name() {
        for (text, named) in [
            ("", "is no status code"),
            ("200,", "has ``, which is no"),
            ("99", "is no status code"),
            ("600", "is no status code"),
            ("2xx", "is no status code"),
            ("399-200", "is no status code"),
            ("200-", "is no status code"),
            ("200-300-400", "is no status code"),
            ("+20", "is no status code"),
            ("200,0200", "has `0200`, which is no"),
        ] {
            let error = text.parse::<StatusSet>().unwrap_err();
            assert!(error.contains(named) && error.contains("accepted"), "{error}");
        }
    }
}
