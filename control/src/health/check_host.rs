use std::fmt;
use std::str::FromStr;

use crate::discovery::dns::labels::{are_labels, ends_with_number, is_too_long};

/// The name of a host, as checks call their target (RFC 1123, 2.1): letters, digits, `-` and dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckHost(String);

impl CheckHost {
    /// The name as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CheckHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CheckHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            Err(format!("{what}; accepted: a host name such as www.example.com, without a port"))
        };
        let is_label = |label: &str| {
            let is_known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            label.bytes().all(is_known) && !label.starts_with('-') && !label.ends_with('-')
        };
        if is_too_long(text) {
            wrong("is too long")
        } else if !are_labels(text, is_label) {
            wrong("is no host name")
        } else if ends_with_number(text) {
            wrong("is an address or a number and no host name")
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_accepted() {
        for text in ["localhost", "www.example.com", "a-b.3c.EXAMPLE", "xn--bcher-kva.example"] {
            assert_eq!(text.parse::<CheckHost>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_is_no_host_name_is_told() {
        let long = "a.".repeat(130) + "example";
        let label = "a".repeat(64);
        for (text, what) in [
            ("", "is no host name"),
            ("a b", "is no host name"),
            ("http://example.com", "is no host name"),
            ("example.com:443", "is no host name"),
            ("example..com", "is no host name"),
            ("example.com.", "is no host name"),
            ("-a.example", "is no host name"),
            ("b\u{fc}cher.example", "is no host name"),
            ("a\r\nX: y", "is no host name"),
            ("10.0.0.1", "is an address"),
            ("[::1]", "is no host name"),
            (&label, "is no host name"),
            (&long, "is too long"),
        ] {
            let reason = text.parse::<CheckHost>().unwrap_err();
            assert!(reason.starts_with(what) && reason.contains("accepted: "), "{text}: {reason}");
        }
    }
}
