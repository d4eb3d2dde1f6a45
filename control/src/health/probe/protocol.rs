use crate::log_lines::escaped::Escaped;

/// How every answer in HTTP/1 begins (RFC 9112, section 4).
const HTTP: &[u8] = b"HTTP/1.";

/// Of an answer that begins otherwise this much is quoted at least, in bytes, if there is as much.
const QUOTED_MIN: usize = 4;
/// And at most this much.
const QUOTED_MAX: usize = 32;

/// What to do where another protocol is spoken.
const REMEDY: &str = "checks are plain HTTP/1.1: HEALTH_CHECK_PORT";

/// Whether an answer of which this much is here may be HTTP/1.
///
/// # Errors
/// What it is instead.
pub(super) fn recognise(start: &[u8]) -> Result<(), String> {
    // Before a message's first line some send an empty one (RFC 9112, 2.2).
    let blank = start.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let start = &start[blank..];
    let common = start.len().min(HTTP.len());
    if start[..common] == HTTP[..common] {
        return Ok(());
    }
    Err(if is_http2(start) {
        format!("not HTTP/1.1: it speaks HTTP/2 ({REMEDY})")
    } else if is_tls(start) {
        format!("not HTTP: it speaks TLS ({REMEDY})")
    } else if start.starts_with(b"SSH-") {
        format!("not HTTP: it speaks SSH, begins with '{}' ({REMEDY})", quoted(start))
    } else {
        format!("not HTTP: begins with '{}'", quoted(start))
    })
}

/// A record of TLS: any of its four types, and a version whose first byte has been 3 ever since
/// SSL 3 (RFC 8446, 5.1).
fn is_tls(start: &[u8]) -> bool {
    matches!(start, [0x14..=0x17, 0x03, 0x00..=0x04, ..])
}

/// A connection of HTTP/2 begins with a SETTINGS frame of stream 0, or ends with GOAWAY at once
/// (RFC 9113, 3.4 and 4.1): length, type, flags, stream.
fn is_http2(start: &[u8]) -> bool {
    let is_frame = |kind: u8| matches!(start, [0, _, _, it, _, 0, 0, 0, 0, ..] if *it == kind);
    is_frame(4) || is_frame(7) || start.starts_with(b"HTTP/2")
}

/// Whole words, as few as say something: `-ERR`, but not `220` alone.
fn quoted(start: &[u8]) -> String {
    let start = &start[..start.len().min(QUOTED_MAX)];
    let line = start.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let ends = line.iter().enumerate().filter(|(_, byte)| byte.is_ascii_whitespace());
    let mut ends = ends.map(|(end, _)| end).filter(|end| *end >= QUOTED_MIN);
    let line = &line[..ends.next().unwrap_or(line.len())];
    Escaped(&String::from_utf8_lossy(line)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(start: &[u8]) -> String {
        recognise(start).unwrap_err()
    }

    #[test]
    fn what_may_still_become_http_is_waited_for() {
        for start in ["", "H", "HTTP/1", "HTTP/1.", "HTTP/1.1 200 OK\r\n", "\r\n", "\r\nHTTP/1.0"] {
            assert_eq!(recognise(start.as_bytes()), Ok(()), "{start:?}");
        }
    }

    #[test]
    fn other_protocols_are_called_by_name() {
        for (start, named) in [
            (&b"\x15\x03\x01\x00\x02\x02\x46"[..], "TLS"),
            (b"\x16\x03\x03\x00\x7a\x02", "TLS"),
            (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "SSH, begins with 'SSH-2.0-OpenSSH_9.2p1'"),
            (b"\0\0\x12\x04\0\0\0\0\0\0\x03", "HTTP/2"),
            (b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01", "HTTP/2"),
            (b"HTTP/2.0 200 OK\r\n", "HTTP/2"),
        ] {
            let told = told(start);
            assert!(told.contains(&format!("it speaks {named} (")), "{told}");
            assert!(told.starts_with("not HTTP") && told.contains("HEALTH_CHECK_PORT"), "{told}");
        }
    }

    #[test]
    fn of_what_is_unknown_the_first_words_are_quoted() {
        for (start, quoted) in [
            (&b"-ERR wrong number of arguments for 'get' command\r\n"[..], "-ERR"),
            (b"-ERR\r\n", "-ERR"),
            (b"220 mail.example.org ESMTP\r\n", "220 mail.example.org"),
            (b"<html><body>", "<html><body>"),
            (b"J\0\0\0\x0a8.0.36\0", "J\\0\\0\\0"),
            (b"\xff\xfd\x18", "\u{fffd}\u{fffd}\\u{18}"),
            (b"\x1b[31m", "\\u{1b}[31m"),
            (b" ", " "),
            (b"HTTP 200", "HTTP"),
        ] {
            assert_eq!(told(start), format!("not HTTP: begins with '{quoted}'"), "{start:?}");
        }
        assert!(told(&[b'x'; 5000]).len() < 100);
    }
}
