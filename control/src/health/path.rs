use std::fmt;
use std::str::FromStr;

use ureq::http::uri::PathAndQuery;

/// Longest path, in bytes.
const MAX_BYTES: usize = 1024;

/// An origin-form path (RFC 9112, 3.2.1) with its query, if any: begins with `/`, holds no CR, LF,
/// space, NUL or other control characters, no fragment, and nothing outside ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckPath(String);

impl CheckPath {
    /// The path as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CheckPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CheckPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            Err(format!(
                "{what}; accepted: a path of at most {MAX_BYTES} bytes that begins with / and \
                 holds no spaces or control characters; anything unusual percent-encoded"
            ))
        };
        if !text.starts_with('/') {
            return wrong("does not begin with /");
        }
        if text.len() > MAX_BYTES {
            return wrong("is too long");
        }
        if let Some(c) = text.chars().find(|c| !c.is_ascii_graphic() || *c == '#') {
            return wrong(&format!("holds {c:?}"));
        }
        // What is left for the HTTP library to refuse, it must refuse now and not at each check.
        match text.parse::<PathAndQuery>() {
            Ok(path) if path.as_str() == text => Ok(Self(text.to_owned())),
            _ => wrong("holds a character that must be percent-encoded"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_paths_and_queries() {
        for text in ["/", "/ping", "/health%20check?full=1&x=/", "//", "/a:b@c;d,e~", "/*"] {
            assert_eq!(text.parse::<CheckPath>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn refuses_what_could_not_be_sent_or_would_forge_a_header() {
        let long = format!("/{}", "x".repeat(MAX_BYTES));
        for text in [
            "",
            "ping",
            "http://a/ping",
            "*",
            " /ping",
            "/pi ng",
            "/\r\nX: y",
            "/a\nb",
            "/a\0b",
            "/a\tb",
            "/\u{7f}",
            "/é",
            "/a#b",
            "/a<b",
            "/a\\b\u{1b}",
            &long,
        ] {
            let error = text.parse::<CheckPath>().unwrap_err();
            assert!(error.contains("accepted: a path"), "{error}");
            assert!(!error.contains(['\n', '\r', '\0', '\x1b']), "{error:?}");
        }
    }
}
