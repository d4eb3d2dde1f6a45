//! As much of HTTP/1.1 as the tests need.

use std::io::{self, Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::PATIENCE;
use super::stream;

/// A client's connection, kept alive.
#[derive(Debug)]
pub(crate) struct Client(pub(crate) TcpStream);

/// An answer: status and body.
pub(crate) type Answer = (u16, Vec<u8>);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        stream::connect(address).map(Self)
    }

    pub(crate) fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(path)?;
        self.receive()
    }

    pub(crate) fn send(&mut self, path: &str) -> io::Result<()> {
        self.0.write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes())
    }

    pub(crate) fn receive(&mut self) -> io::Result<Answer> {
        let head = read_head(&self.0)?.ok_or(ErrorKind::UnexpectedEof)?;
        let bad = || Error::other(format!("no answer: {head:?}"));
        let status = head.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(bad)?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse().ok())?
        });
        let mut body = vec![0; length.ok_or_else(bad)?];
        self.0.read_exact(&mut body)?;
        Ok((status, body))
    }
}

/// One request on a connection of its own.
pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    Client::connect(address)?.get(path)
}

/// Reads up to the empty line; `None` if the peer sent nothing more.
pub(crate) fn read_head(mut stream: &TcpStream) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    let mut bytes = [0; 4096];
    while !head.ends_with(b"\r\n\r\n") {
        // Peeked first, so that nothing of the body is taken.
        let peeked = stream.peek(&mut bytes)?;
        let end = (1..=peeked).find(|&end| {
            head.extend_from_slice(&bytes[end - 1..end]);
            head.ends_with(b"\r\n\r\n")
        });
        match end.unwrap_or(peeked) {
            0 if head.is_empty() => return Ok(None),
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            taken => stream.read_exact(&mut bytes[..taken])?,
        }
    }
    String::from_utf8(head).map(Some).map_err(Error::other)
}

/// The path of a request's head.
pub(crate) fn path(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or("")
}

/// Sends an answer.
pub(crate) fn answer(mut stream: &TcpStream, status: u16, body: &[u8]) -> io::Result<()> {
    let mut bytes =
        format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&bytes)
}
