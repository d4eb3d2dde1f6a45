//! HTTP health checks.

use std::time::Duration;

/// How targets are checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Time between two checks of one target, jittered by ±10 %.
    pub period: Duration,
    /// Origin-form path.
    pub path: CheckPath,
    /// Longest that one whole check may take.
    pub timeout: Duration,
    /// The port to check; the target's own where none is given.
    pub port: Option<u16>,
    /// Which status codes mean healthy.
    pub status: StatusSet,
    /// Passes in a row that admit a target again; its very first pass admits it at once.
    pub rise: u32,
    /// Failures in a row that take a target out.
    pub fall: u32,
}

/// An origin-form path: begins with `/`, no CR, LF, space, NUL or other control characters.
#[derive(Clone, Debug)]
pub struct CheckPath(String);

/// HTTP status codes, as codes and ranges: `200-399`, `200,204,301-303`.
#[derive(Clone, Debug)]
pub struct StatusSet(Vec<std::ops::RangeInclusive<u16>>);

impl std::str::FromStr for CheckPath {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let _ = text;
        todo!()
    }
}

impl std::str::FromStr for StatusSet {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let _ = text;
        todo!()
    }
}
