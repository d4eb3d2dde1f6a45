//! Parsers of single values. Each error says what is wrong and what is accepted.

pub(super) mod addresses;
pub(super) mod cores;
pub(super) mod list;
pub(super) mod ports;

use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use control::health::CheckProtocol;
use dataplane::{Balance, ProxyVersion};

use crate::logging::{self, LogFormat};

/// What a parser answers; an error is a phrase for users.
pub(crate) type Parsed<T> = Result<T, String>;

/// Where the targets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeFilter {
    Asg,
    Tag,
    Static,
    File,
    Dns,
}

/// No time may be longer than this: a larger one is a slip of the unit.
const LONGEST: Duration = Duration::from_hours(24);

/// The unit of a time given as a bare number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    Seconds,
    Minutes,
}

/// A time of at least a millisecond.
pub(super) fn period(unit: Unit) -> impl Fn(&str) -> Parsed<Duration> {
    move |text| match time(text, unit)? {
        Duration::ZERO => Err(format!("must be longer than 0; {}", accepted_time(unit))),
        period => Ok(period),
    }
}

/// A time that may be 0.
pub(super) fn delay(unit: Unit) -> impl Fn(&str) -> Parsed<Duration> {
    move |text| time(text, unit)
}

/// How long a peer may be silent, in seconds; 0: for ever.
pub(super) fn keepalive(text: &str) -> Parsed<Duration> {
    let most = dataplane::KEEPALIVE_MAX.as_secs();
    match time(text, Unit::Seconds)? {
        time if time <= dataplane::KEEPALIVE_MAX => Ok(time),
        _ => Err(format!(
            "is longer than the kernel waits; {}, but at most {most} seconds",
            accepted_time(Unit::Seconds).trim_end_matches(", up to 24h")
        )),
    }
}

fn time(text: &str, unit: Unit) -> Parsed<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let millis_per_unit = match (&text[digits.len()..], unit) {
        ("ms", _) => 1,
        ("s", _) | ("", Unit::Seconds) => 1000,
        ("m", _) | ("", Unit::Minutes) => 60_000,
        ("h", _) => 3_600_000,
        _ => return Err(format!("has an unknown unit; {}", accepted_time(unit))),
    };
    let number = natural(digits).ok_or_else(|| format!("is no time; {}", accepted_time(unit)))?;
    number
        .checked_mul(millis_per_unit)
        .map(Duration::from_millis)
        .filter(|time| *time <= LONGEST)
        .ok_or_else(|| format!("is longer than 24h; {}", accepted_time(unit)))
}

fn accepted_time(unit: Unit) -> String {
    let unit = match unit {
        Unit::Seconds => "seconds",
        Unit::Minutes => "minutes",
    };
    format!("accepted: a whole number, in {unit} or with one of the units ms, s, m, h, up to 24h")
}

/// Decimal digits and nothing else: `u64::from_str` alone would let a plus sign pass.
fn natural(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // Digits that overflow are some large number, and too large for every variable.
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// A whole number within `range`.
pub(super) fn number<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Parsed<T>
where
    T: TryFrom<u64> + PartialOrd + Display,
{
    move |text| {
        let accepted =
            format!("accepted: a whole number from {} to {}", range.start(), range.end());
        let number = natural(text).ok_or_else(|| format!("is no whole number; {accepted}"))?;
        let within = T::try_from(number).ok().filter(|number| range.contains(number));
        within.ok_or_else(|| format!("is out of range; {accepted}"))
    }
}

/// An IP address to bind to, bare or in brackets.
pub(super) fn host(text: &str) -> Parsed<IpAddr> {
    let accepted = "accepted: an IPv4 or IPv6 address of this machine, such as 0.0.0.0 or [::]";
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match bracketed {
        Some(inner) => inner.parse().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    };
    let address = address.ok_or_else(|| format!("is no IP address; {accepted}"))?;
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if address.is_multicast() || broadcast {
        return Err(format!("is not the address of one machine; {accepted}"));
    }
    Ok(address)
}

/// `true` or `false`.
pub(super) fn boolean(text: &str) -> Parsed<bool> {
    choice(&[("true", true), ("false", false)])(text)
}

/// The same as [`boolean`] for variables of the AWS SDKs, which take any case.
pub(super) fn boolean_in_any_case(text: &str) -> Parsed<bool> {
    boolean(&text.to_ascii_lowercase())
}

/// What health checks speak.
pub(super) fn check_protocol(text: &str) -> Parsed<CheckProtocol> {
    let (http, tcp, none) = (CheckProtocol::Http, CheckProtocol::Tcp, CheckProtocol::None);
    choice(&[("http", http), ("tcp", tcp), ("none", none)])(text)
}

/// Whether to reset what could be kept.
pub(super) fn is_reset(text: &str) -> Parsed<bool> {
    choice(&[("keep", false), ("reset", true)])(text)
}

/// Where the targets come from.
pub(super) fn node_filter(text: &str) -> Parsed<NodeFilter> {
    choice(&[
        ("static", NodeFilter::Static),
        ("file", NodeFilter::File),
        ("asg", NodeFilter::Asg),
        ("tag", NodeFilter::Tag),
        ("dns", NodeFilter::Dns),
    ])(text)
}

/// How a target is chosen.
pub(super) fn balance(text: &str) -> Parsed<Balance> {
    choice(&[
        ("p2c", Balance::P2c),
        ("round_robin", Balance::RoundRobin),
        ("random", Balance::Random),
        ("least_connections", Balance::LeastConnections),
        ("maglev", Balance::Maglev),
    ])(text)
}

/// Which PROXY protocol header targets get.
pub(super) fn proxy_protocol(text: &str) -> Parsed<Option<ProxyVersion>> {
    choice(&[("off", None), ("v1", Some(ProxyVersion::V1)), ("v2", Some(ProxyVersion::V2))])(text)
}

/// Whether the fields of a PROXY protocol header are left out.
pub(super) fn proxy_protocol_tlvs(text: &str) -> Parsed<bool> {
    choice(&[("pass", false), ("drop", true)])(text)
}

/// How log lines look.
pub(super) fn log_format(text: &str) -> Parsed<LogFormat> {
    choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)])(text)
}

fn choice<T: Copy>(choices: &[(&str, T)]) -> impl Fn(&str) -> Parsed<T> {
    move |text| {
        let found = choices.iter().find(|(name, _)| *name == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            format!("is unknown; accepted: {}", names.join(", "))
        })
    }
}

/// A text that is checked where all it depends on is known.
#[expect(clippy::unnecessary_wraps, reason = "it is a parser like others")]
pub(super) fn text(text: &str) -> Parsed<String> {
    Ok(text.to_owned())
}

/// Where a file is.
#[expect(clippy::unnecessary_wraps, reason = "it is a parser like others")]
pub(super) fn path(text: &str) -> Parsed<PathBuf> {
    Ok(PathBuf::from(text))
}

/// What the crate that owns the type accepts.
pub(super) fn own<T: FromStr<Err = String>>(text: &str) -> Parsed<T> {
    text.parse()
}

/// So many unknown modules are told.
const UNKNOWN_TOLD_MAX: usize = 20;

/// Directives of `RUST_LOG`. A name that is no module's would be one that never logs.
pub(super) fn log_filter(text: &str) -> Parsed<String> {
    let accepted = format!(
        "accepted: error, warn, info, debug, trace or off, or module=level, comma separated; \
         modules: {}, and those of libraries, such as glommio or hyper",
        logging::OWN_MODULES.join(", ")
    );
    if let Err(error) = env_filter::Builder::new().try_parse(text) {
        return Err(format!("{error}; {accepted}"));
    }
    let mut unknown = Vec::new();
    for directive in logging::directives(text) {
        let name = directive.split('=').next().unwrap_or_default();
        if directive.parse::<log::LevelFilter>().is_ok() || logging::is_module(name) {
            continue;
        }
        let what = if directive == name { "no level and no module" } else { "no module" };
        // The message begins with the text.
        let is_all = name == text;
        unknown.push(if is_all { format!("is {what}") } else { format!("has `{name}`, {what}") });
    }
    if unknown.is_empty() {
        return Ok(text.to_owned());
    }
    unknown.truncate(UNKNOWN_TOLD_MAX);
    Err(format!("{}; {accepted}", unknown.join("; ")))
}

/// An AWS region's name.
pub(super) fn region(text: &str) -> Parsed<String> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if text.len() <= 64 && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    Err("is no region; accepted: lower-case letters, digits and -, such as eu-west-1".to_owned())
}

/// A name of at most `longest` characters, none of them a control character.
pub(super) fn name(longest: usize) -> impl Fn(&str) -> Parsed<String> {
    move |text| {
        if text.chars().count() <= longest && !text.chars().any(char::is_control) {
            return Ok(text.to_owned());
        }
        Err(format!(
            "cannot be a name; accepted: at most {longest} characters, no control characters"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_variables_unit_or_their_own() {
        let seconds = delay(Unit::Seconds);
        let minutes = delay(Unit::Minutes);
        assert_eq!(seconds("10"), Ok(Duration::from_secs(10)));
        assert_eq!(minutes("5"), Ok(Duration::from_mins(5)));
        for (text, millis) in [("500ms", 500), ("2s", 2000), ("5m", 300_000), ("1h", 3_600_000)] {
            assert_eq!(seconds(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(minutes(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        assert_eq!(seconds("24h"), Ok(LONGEST));
    }

    #[test]
    fn what_is_no_time_is_refused_with_the_unit_that_is_accepted() {
        for text in
            ["-1", "+1", "1.5s", "s", "ms", "1 s", " 1", "1d", "1S", "1µs", "é", "25h", "1e3"]
        {
            let error = delay(Unit::Seconds)(text).unwrap_err();
            assert!(error.contains("in seconds or with one of the units"), "{text}: {error}");
        }
        let overflowing = format!("{}h", u64::MAX);
        assert!(delay(Unit::Minutes)(&overflowing).unwrap_err().contains("longer than 24h"));
        assert!(period(Unit::Minutes)("0ms").unwrap_err().contains("longer than 0"));
    }

    #[test]
    fn the_kernel_waits_for_a_sign_of_life_no_longer_than_it_can() {
        assert_eq!(keepalive("0"), Ok(Duration::ZERO));
        assert_eq!(keepalive("9h"), Ok(Duration::from_hours(9)));
        assert_eq!(keepalive("32767"), Ok(Duration::from_secs(32_767)));
        for text in ["32768", "10h", "24h"] {
            let error = keepalive(text).unwrap_err();
            assert!(error.starts_with("is longer than the kernel waits; accepted: "), "{error}");
            assert!(error.ends_with("ms, s, m, h, but at most 32767 seconds"), "{error}");
        }
    }

    #[test]
    fn numbers_are_digits_within_their_range() {
        let port = number(1..=u16::MAX);
        assert_eq!(port("1"), Ok(1));
        assert_eq!(port("65535"), Ok(65535));
        for text in ["0", "65536", "99999999999999999999999"] {
            assert!(port(text).unwrap_err().starts_with("is out of range"), "{text}");
        }
        for text in ["-1", "+80", "8o80", "0x50", "80 ", "٣"] {
            assert!(port(text).unwrap_err().starts_with("is no whole number"), "{text}");
        }
    }

    #[test]
    fn hosts_are_literals_of_either_family() {
        for (text, address) in
            [("0.0.0.0", "0.0.0.0"), ("::1", "::1"), ("[::1]", "::1"), ("10.0.0.1", "10.0.0.1")]
        {
            assert_eq!(host(text), Ok(address.parse().unwrap()), "{text}");
        }
        for text in [
            "localhost",
            "[127.0.0.1]",
            "[::1",
            "::1]",
            "1.2.3",
            "1.2.3.4:80",
            "239.1.1.1",
            "ff02::1",
        ] {
            assert!(host(text).unwrap_err().contains("accepted:"), "{text}");
        }
    }

    #[test]
    fn choices_name_the_alternatives() {
        assert_eq!(balance("round_robin"), Ok(Balance::RoundRobin));
        let error = balance("P2C").unwrap_err();
        assert_eq!(
            error,
            "is unknown; accepted: p2c, round_robin, random, least_connections, maglev"
        );
    }

    #[test]
    fn log_filters_are_checked() {
        assert!(log_filter("info,control=debug").is_ok());
        assert!(log_filter("control=loud").is_err());
        for text in [
            "off",
            "WARN",
            "control",
            "glommio,warn",
            "aws_any::meta=off",
            "aws=off",
            "data=debug",
            "info/a,b",
            "info,",
        ] {
            assert_eq!(log_filter(text), Ok(text.to_owned()));
        }
        let error = log_filter("contrl=debug,info,dataplan::worker").unwrap_err();
        assert!(
            error.starts_with("has `contrl`, no module; has `dataplan::worker`, no "),
            "{error}"
        );
        assert!(error.contains("modules: control, dataplane, exchange"), "{error}");
        for text in ["inf", "verbose", "info,contrl", "warning", "1"] {
            let error = log_filter(text).unwrap_err();
            assert!(error.contains("error, warn, info, debug, trace or off"), "{text}: {error}");
        }
    }

    #[test]
    fn names_hold_no_control_characters() {
        assert!(name(4)("a b√").is_ok());
        assert!(name(4)("a\tb").is_err());
        assert!(name(4)("abcde").is_err());
        assert!(region("eu-west-1").is_ok());
        assert!(region("EU west").is_err());
    }
}
