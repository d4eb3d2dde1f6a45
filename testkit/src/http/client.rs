use std::io::{self, Error, ErrorKind};
use std::net::{SocketAddr, TcpStream};

use super::message::Message;
use crate::net::stream;

/// A client's connection, kept alive.
#[derive(Debug)]
pub struct Client(pub TcpStream);

/// An answer's status code and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, to the end that its length tells.
    pub body: String,
}

impl Client {
    /// One that is connected.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        stream::connect(address).map(Self)
    }

    /// Asks, and waits for the answer.
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(path)?;
        self.receive()
    }

    /// Asks.
    pub fn send(&mut self, path: &str) -> io::Result<()> {
        Message::request("GET", path).write(&self.0)
    }

    /// Waits for the answer.
    pub fn receive(&mut self) -> io::Result<Answer> {
        let message = Message::read(&self.0)?.ok_or(ErrorKind::UnexpectedEof)?;
        let bad = || Error::other(format!("no answer: {message:?}"));
        message.header("content-length").ok_or_else(bad)?;
        let status = message.status().ok_or_else(bad)?;
        Ok(Answer { status, body: message.body })
    }
}

/// GETs `path` on a connection of its own, without following anything.
pub fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    Client::connect(address)?.get(path)
}

/// Sends a request without a body on a connection of its own.
pub fn request(address: SocketAddr, method: &str, path: &str) -> io::Result<Answer> {
    let mut client = Client::connect(address)?;
    Message::request(method, path).write(&client.0)?;
    client.receive()
}

/// Sends `request` on a connection of its own.
pub fn exchange(address: SocketAddr, request: &Message) -> io::Result<Message> {
    let stream = stream::connect(address)?;
    request.write(&stream)?;
    Message::read(&stream)?.ok_or_else(|| ErrorKind::UnexpectedEof.into())
}
