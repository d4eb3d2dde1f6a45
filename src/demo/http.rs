//! As much of HTTP/1.1 (RFC 9112) as curl, wrk and a health check need.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request line and headers longer than this are not answered.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    body_bytes: usize,
    keep_alive: bool,
}

/// What it gets.
#[derive(Debug)]
pub(super) struct Response {
    /// Code and reason: `200 OK`.
    pub(super) status: &'static str,
    /// Plain text.
    pub(super) body: String,
}

/// Answers one connection's requests until it ends.
///
/// # Errors
/// When the connection breaks.
pub(super) async fn serve(
    mut stream: TcpStream,
    answer: impl Fn(&Request) -> Response,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = Vec::with_capacity(1024);
    loop {
        let Some(head_bytes) = head_end(&received) else {
            if received.len() > HEAD_BYTES_MAX || stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let Some(request) = parse(&received[..head_bytes]) else {
            return stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                .await;
        };
        received.drain(..head_bytes);
        skip_body(&mut stream, &mut received, request.body_bytes).await?;
        let response = answer(&request);
        let connection = if request.keep_alive { "keep-alive" } else { "close" };
        let length = response.body.len();
        let mut message = format!(
            "HTTP/1.1 {}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
             Connection: {connection}\r\n\r\n",
            response.status
        );
        if request.method != "HEAD" {
            message.push_str(&response.body);
        }
        stream.write_all(message.as_bytes()).await?;
        if !request.keep_alive {
            return Ok(());
        }
    }
}

fn head_end(received: &[u8]) -> Option<usize> {
    received.windows(4).position(|window| window == b"\r\n\r\n").map(|start| start + 4)
}

fn parse(head: &[u8]) -> Option<Request> {
    let mut lines = std::str::from_utf8(head).ok()?.lines();
    let mut words = lines.next()?.split(' ');
    let (method, path, version) = (words.next()?, words.next()?, words.next()?);
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        body_bytes: 0,
        keep_alive: version == "HTTP/1.1",
    };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            request.body_bytes = value.parse().ok()?;
        } else if name.eq_ignore_ascii_case("connection") {
            request.keep_alive = !value.eq_ignore_ascii_case("close")
                && (request.keep_alive || value.eq_ignore_ascii_case("keep-alive"));
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            // A chunked body is not read, so nothing after it can be understood.
            return None;
        }
    }
    Some(request)
}

async fn skip_body(stream: &mut TcpStream, received: &mut Vec<u8>, bytes: usize) -> io::Result<()> {
    let mut missing = bytes;
    loop {
        let here = missing.min(received.len());
        received.drain(..here);
        missing -= here;
        if missing == 0 {
            return Ok(());
        }
        if stream.read_buf(received).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_understood() {
        let head = b"POST /targets/1/kill HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: 3\r\n\r\n";
        let request = parse(head).unwrap();
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/targets/1/kill"));
        assert_eq!((request.body_bytes, request.keep_alive), (3, true));
        assert!(!parse(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap().keep_alive);
        assert!(!parse(b"GET / HTTP/1.0\r\n\r\n").unwrap().keep_alive);
        assert!(parse(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").unwrap().keep_alive);
    }

    #[test]
    fn what_cannot_be_answered_is_refused() {
        for head in [
            "GET /\r\n\r\n",
            "\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        ] {
            assert_eq!(parse(head.as_bytes()), None, "{head}");
        }
    }
}
