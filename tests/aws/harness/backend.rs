use std::io::{self, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use super::message::Message;

/// Serves at `address` until the process ends: answers each request of each connection by its
/// own address.
pub(crate) fn serve(address: SocketAddr) {
    let listener = TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A client that broke off is no news.
            thread::spawn(move || drop(converse(&stream, address)));
        }
    });
}

fn converse(stream: &TcpStream, address: SocketAddr) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while Message::read(&mut reader)?.is_some() {
        Message::answer(200, address.ip().to_string()).write(stream)?;
    }
    Ok(())
}
