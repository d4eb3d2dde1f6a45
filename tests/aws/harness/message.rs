//! As much of HTTP/1.1 as the tests need.

use std::io::{self, BufRead, Error, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};

use super::PATIENCE;

/// A request or an answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    /// The first line.
    pub(crate) start: String,
    /// The lines after it.
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

impl Message {
    /// An answer.
    pub(crate) fn answer(status: u16, body: impl Into<String>) -> Self {
        let start = format!("HTTP/1.1 {status} X");
        Self { start, headers: vec!["Content-Type: text/xml".to_owned()], body: body.into() }
    }

    /// Reads one whose length is told; `None` if the peer sends nothing more.
    pub(crate) fn read(stream: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return if lines.is_empty() {
                    Ok(None)
                } else {
                    Err(ErrorKind::UnexpectedEof.into())
                };
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let mut message = Self { start: lines.remove(0), headers: lines, ..Self::default() };
        let length = message.header("content-length").unwrap_or("0").parse();
        let mut body = vec![0; length.map_err(Error::other)?];
        stream.read_exact(&mut body)?;
        message.body = String::from_utf8(body).map_err(Error::other)?;
        Ok(Some(message))
    }

    /// Sends it, its length told as that of `body`.
    pub(crate) fn write(&self, mut stream: impl Write) -> io::Result<()> {
        let length = format!("Content-Length: {}", self.body.len());
        let mut lines = vec![self.start.as_str()];
        let others = self.headers.iter().filter(|line| name(line) != "content-length");
        lines.extend(others.map(String::as_str));
        lines.extend([length.as_str(), "", &self.body]);
        let text = lines.join("\r\n");
        stream.write_all(text.as_bytes())
    }

    /// The value of a header; `wanted` is in lower case.
    pub(crate) fn header(&self, wanted: &str) -> Option<&str> {
        let line = self.headers.iter().find(|line| name(line) == wanted)?;
        Some(line.split_once(':')?.1.trim())
    }

    /// The status of an answer.
    pub(crate) fn status(&self) -> u16 {
        let status = self.start.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("no status in {:?}", self.start))
    }
}

/// Asks at `address` on a connection of its own.
pub(crate) fn exchange(address: SocketAddr, request: &Message) -> io::Result<Message> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    request.write(&stream)?;
    let answer = Message::read(&mut io::BufReader::new(stream))?;
    answer.ok_or_else(|| ErrorKind::UnexpectedEof.into())
}

fn name(header: &str) -> String {
    header.split_once(':').map_or(header, |(name, _)| name).to_ascii_lowercase()
}
