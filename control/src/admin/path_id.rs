use exchange::TargetId;

/// Takes what a target is called from a piece of a request's path: percent-decoded (RFC 3986, 2.1), UTF-8,
/// without control characters.
///
/// # Errors
/// What is wrong with it, and what is accepted.
pub(super) fn parse(raw: &str) -> Result<TargetId, &'static str> {
    const BAD: &str = "the id in the path is not percent-encoded UTF-8; accepted: an id from \
                       /targets, with % written as %25 and / as %2F";
    let decoded = String::from_utf8(decode(raw).ok_or(BAD)?).map_err(|_| BAD)?;
    if decoded.is_empty() {
        return Err("the id in the path is empty; accepted: an id from /targets");
    }
    if decoded.chars().any(char::is_control) {
        return Err(
            "the id in the path contains control characters; accepted: an id from /targets",
        );
    }
    Ok(TargetId::new(&decoded))
}

/// None where a `%` is not followed by two hexadecimal digits.
fn decode(raw: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => 16 * digit(bytes.next()?)? + digit(bytes.next()?)?,
            byte => byte,
        });
    }
    Some(decoded)
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_decoded() {
        for (raw, id) in [
            ("i-0a1b", "i-0a1b"),
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
            ("%5B::1%5d%3A80", "[::1]:80"),
            ("a%2fb%25", "a/b%"),
            ("%C3%A9", "é"),
        ] {
            assert_eq!(parse(raw), Ok(TargetId::new(id)), "{raw}");
        }
    }

    #[test]
    fn what_no_id_can_be_is_refused() {
        for raw in ["%", "a%4", "%zz", "%+1", "%é", "%ff", "%C3"] {
            assert!(parse(raw).unwrap_err().contains("percent-encoded"), "{raw}");
        }
        assert!(parse("").unwrap_err().contains("empty"));
        for raw in ["a%0d%0ab", "%00", "%1b[31m", "%7F", "%C2%85"] {
            assert!(parse(raw).unwrap_err().contains("control characters"), "{raw}");
        }
    }
}
