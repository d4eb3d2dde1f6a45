use std::fmt;
use std::str::FromStr;

use crate::log_lines::escaped::Escaped;

/// Longest text that is looked for, in bytes.
const MAX_BYTES: usize = 256;

/// It is looked for in so many bytes of a body.
pub(crate) const SEARCHED_BYTES: usize = 16 << 10;

/// A text that the beginning of a body has to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyMatch(String);

impl BodyMatch {
    /// Whether `body` holds it.
    pub(crate) fn is_in(&self, body: &[u8]) -> bool {
        body.windows(self.0.len()).any(|window| window == self.0.as_bytes())
    }
}

impl fmt::Display for BodyMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", Escaped(&self.0))
    }
}

impl FromStr for BodyMatch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.len() {
            0 => Err(format!("is empty; accepted: a text of 1 to {MAX_BYTES} bytes")),
            1..=MAX_BYTES => Ok(Self(text.to_owned())),
            bytes => Err(format!("has {bytes} bytes; accepted: a text of 1 to {MAX_BYTES} bytes")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_wherever_it_is() {
        let ok: BodyMatch = "ok".parse().unwrap();
        for (body, is_in) in [("ok", true), ("all ok.", true), ("o", false), ("", false)] {
            assert_eq!(ok.is_in(body.as_bytes()), is_in, "{body}");
        }
    }

    #[test]
    fn its_length_has_bounds() {
        assert!("".parse::<BodyMatch>().unwrap_err().contains("is empty"));
        assert!("x".repeat(MAX_BYTES).parse::<BodyMatch>().is_ok());
        let reason = "x".repeat(MAX_BYTES + 1).parse::<BodyMatch>().unwrap_err();
        assert!(reason.contains("257 bytes"), "{reason}");
    }
}
