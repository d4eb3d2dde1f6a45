use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::log_lines::escaped::Escaped;

/// Why a check failed, as logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckFailure {
    /// It could not be made for want of a local port, a descriptor or memory: nothing is known of
    /// the target.
    NotMade(String),
    /// There is no connection: why, and which variable has a say in it.
    NotConnected(String),
    /// The target was asked this, and its answer is not a good one.
    Answer(Arc<str>, CheckFlaw),
    /// Anything else, without control characters.
    Other(String),
}

/// What is wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckFlaw {
    /// The target ended the connection before a whole answer.
    Cut,
    /// The target reset the connection.
    Reset,
    /// Nothing came within this time.
    Silence(Duration),
    /// The head began, and had not ended within this time.
    SlowHead(Duration),
    /// A status that does not mean healthy.
    Status(u16),
    /// A good status, and within this time no body after it.
    NoBody(u16, Duration),
    /// A good status, and a body that does not hold this.
    NoMatch(u16, String),
    /// It is no HTTP/1, but this.
    NotHttp(String),
    /// The head is longer than so many bytes.
    LongHead(usize),
    /// It breaks the rules of HTTP: how.
    Malformed(String),
}

impl CheckFailure {
    /// What is wrong with the target's answer, if it was asked.
    pub fn flaw(&self) -> Option<&CheckFlaw> {
        match self {
            Self::Answer(_, flaw) => Some(flaw),
            _ => None,
        }
    }
}

impl fmt::Display for CheckFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMade(reason) => write!(f, "not made: {reason}"),
            Self::NotConnected(reason) | Self::Other(reason) => f.write_str(reason),
            Self::Answer(request, flaw) => write!(f, "{request}: {flaw}"),
        }
    }
}

impl fmt::Display for CheckFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => f.write_str("connection closed before a whole answer"),
            Self::Reset => f.write_str("connection reset"),
            Self::Silence(timeout) => write!(f, "no answer, timed out after {timeout:?}"),
            Self::SlowHead(timeout) => write!(f, "no whole head, timed out after {timeout:?}"),
            Self::Status(status) => match remedy(*status) {
                Some(remedy) => write!(f, "status {status} ({remedy})"),
                None => write!(f, "status {status}"),
            },
            Self::NoBody(status, timeout) => {
                write!(f, "status {status}, but no body within {}", Time(*timeout))
            }
            Self::NoMatch(status, wanted) => {
                write!(f, "status {status}, but no {wanted} in the body (HEALTH_CHECK_MATCH)")
            }
            Self::NotHttp(what) => f.write_str(what),
            Self::LongHead(bytes) => write!(f, "head over {} KiB", bytes >> 10),
            Self::Malformed(how) => write!(f, "not valid HTTP: {}", Escaped(how)),
        }
    }
}

impl std::error::Error for CheckFlaw {}

/// What to look at, where a status says that the check and not the server is wrong.
fn remedy(status: u16) -> Option<&'static str> {
    match status {
        ..=399 => Some("HEALTH_CHECK_STATUS"),
        // RFC 9110, 15.5.1 and 15.5.20; servers that speak TLS answer plain HTTP with 400, too.
        400 | 421 => Some("it may want TLS, another Host or no PROXY protocol header"),
        401 | 403 | 404 | 405 | 410 => Some("HEALTH_CHECK_PATH"),
        _ => None,
    }
}

/// A time as people write it: `2 s`, `200 ms`.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.as_secs(), self.0.subsec_millis()) {
            (seconds, 0) => write!(f, "{seconds} s"),
            _ => write!(f, "{} ms", self.0.as_millis()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(flaw: CheckFlaw) -> String {
        CheckFailure::Answer("GET /ping".into(), flaw).to_string()
    }

    #[test]
    fn a_status_that_speaks_of_the_check_comes_with_the_variable() {
        for (status, expected) in [
            (301, "GET /ping: status 301 (HEALTH_CHECK_STATUS)"),
            (404, "GET /ping: status 404 (HEALTH_CHECK_PATH)"),
            (500, "GET /ping: status 500"),
            (503, "GET /ping: status 503"),
        ] {
            assert_eq!(told(CheckFlaw::Status(status)), expected);
        }
        assert!(told(CheckFlaw::Status(400)).contains("Host"), "{}", told(CheckFlaw::Status(400)));
    }

    #[test]
    fn times_are_written_with_their_unit() {
        for (millis, shown) in [(2000, "2 s"), (200, "200 ms"), (1500, "1500 ms")] {
            assert_eq!(Time(Duration::from_millis(millis)).to_string(), shown);
        }
    }

    #[test]
    fn what_an_answer_quotes_is_short_and_without_control_characters() {
        let shown = told(CheckFlaw::Malformed(format!("a\r\n\x1b[31m{}", "x".repeat(5000))));
        assert!(shown.contains("a\\r\\n\\u{1b}[31mx"), "{shown}");
        assert!(shown.len() < 200 && !shown.contains(char::is_control), "{shown}");
    }
}
