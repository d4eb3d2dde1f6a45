/// How many bytes the head of an answer has, with the empty line that ends it; none while that has
/// not come. A line may end with LF alone (RFC 9112, 2.2).
pub(super) fn end(received: &[u8]) -> Option<usize> {
    // Empty lines before it are no head.
    let blank = received.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let feeds = received.iter().enumerate().skip(blank).filter(|(_, byte)| **byte == b'\n');
    feeds.map(|(at, _)| at + 1).find_map(|next| match received.get(next..)? {
        [b'\n', ..] => Some(next + 1),
        [b'\r', b'\n', ..] => Some(next + 2),
        _ => None,
    })
}

/// Makes one line of each that goes on in the next, which begins with a blank: by blanks in place
/// of what ends it (obs-fold; RFC 9112, 5.2).
pub(super) fn unfold(head: &mut [u8]) {
    for feed in 0..head.len().saturating_sub(1) {
        if head[feed] == b'\n' && matches!(head[feed + 1], b' ' | b'\t') {
            head[feed] = b' ';
            if feed > 0 && head[feed - 1] == b'\r' {
                head[feed - 1] = b' ';
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_with_an_empty_line() {
        for (received, length) in [
            ("", None),
            ("\r\n\r\n", None),
            ("HTTP/1.1 200 OK", None),
            ("HTTP/1.1 200 OK\r\n", None),
            ("HTTP/1.1 200 OK\r\n\r", None),
            ("HTTP/1.1 200 OK\r\nA: b\r\n", None),
            ("HTTP/1.1 200 OK\r\n\r\nbody\r\n\r\n", Some(19)),
            ("HTTP/1.1 200 OK\n\nbody", Some(17)),
            ("HTTP/1.1 200 OK\r\nA: b\r\n \r\n\r\n", Some(28)),
            ("\r\nHTTP/1.1 200 OK\r\n\r\n", Some(21)),
        ] {
            assert_eq!(end(received.as_bytes()), length, "{received:?}");
        }
    }

    #[test]
    fn folded_lines_become_one() {
        for (folded, one) in [
            ("A: b\r\nC: d\r\n\r\n", "A: b\r\nC: d\r\n\r\n"),
            ("A: b\r\n c\r\n\td\r\n\r\n", "A: b   c  \td\r\n\r\n"),
            ("A: b\n c\n\n", "A: b  c\n\n"),
            ("A:\r\n \r\n\r\n", "A:   \r\n\r\n"),
        ] {
            let mut head = folded.as_bytes().to_vec();
            unfold(&mut head);
            assert_eq!(String::from_utf8(head).unwrap(), one);
        }
    }
}
