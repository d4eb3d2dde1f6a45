use std::io::{self, Error, ErrorKind, Read, Write};
use std::net::TcpStream;

/// A request or an answer.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// The first line.
    pub start: String,
    /// The lines after it.
    pub headers: Vec<String>,
    /// What follows the empty line.
    pub body: String,
}

impl Message {
    /// A request without a body.
    pub fn request(method: &str, target: &str) -> Self {
        let start = format!("{method} {target} HTTP/1.1");
        Self { start, headers: vec!["Host: test".to_owned()], ..Self::default() }
    }

    /// An answer.
    pub fn answer(status: u16, body: impl Into<String>) -> Self {
        Self { start: format!("HTTP/1.1 {status} X"), body: body.into(), ..Self::default() }
    }

    /// Reads one whose length is told, and nothing beyond it; `None` if the peer sends nothing more.
    pub fn read(mut stream: &TcpStream) -> io::Result<Option<Self>> {
        let Some(head) = read_head(stream)? else { return Ok(None) };
        let mut lines = head.lines().map(str::to_owned);
        let start = lines.next().unwrap_or_default();
        let headers = lines.take_while(|line| !line.is_empty()).collect();
        let mut message = Self { start, headers, ..Self::default() };
        let length = message.header("content-length").unwrap_or("0").parse();
        let mut body = vec![0; length.map_err(Error::other)?];
        stream.read_exact(&mut body)?;
        message.body = String::from_utf8(body).map_err(Error::other)?;
        Ok(Some(message))
    }

    /// Sends it, its length told as that of `body`, at least in an answer.
    pub fn write(&self, mut stream: impl Write) -> io::Result<()> {
        let mut lines = vec![self.start.as_str()];
        let others = self.headers.iter().filter(|line| name(line) != "content-length");
        lines.extend(others.map(String::as_str));
        let length = format!("Content-Length: {}", self.body.len());
        if self.start.starts_with("HTTP/") || !self.body.is_empty() {
            lines.push(&length);
        }
        lines.extend(["", &self.body]);
        stream.write_all(lines.join("\r\n").as_bytes())
    }

    /// The value of a header; `wanted` is in lower case.
    pub fn header(&self, wanted: &str) -> Option<&str> {
        let line = self.headers.iter().find(|line| name(line) == wanted)?;
        Some(line.split_once(':')?.1.trim())
    }

    /// What a request asks for.
    pub fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// The status of an answer, if it is one.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()
    }
}

/// Reads up to the empty line; `None` if the peer sent nothing more.
fn read_head(mut stream: &TcpStream) -> io::Result<Option<String>> {
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

fn name(header: &str) -> String {
    header.split_once(':').map_or(header, |(name, _)| name).to_ascii_lowercase()
}
