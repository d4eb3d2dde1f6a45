use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// Bytes that a pipe should hold: what the kernel allows anybody by default is 1 MiB
/// (pipe(7), `pipe-max-size`), but all of it may be stuck before one slow reader.
const PIPE_BYTES: usize = 256 * 1024;

/// A pipe between two sockets. Empty while in the pool.
#[derive(Debug)]
pub(crate) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A user may have only so much in pipes (pipe(7), `pipe-user-pages-soft`): a smaller pipe
        // works as well, in more steps.
        let _ = fcntl_setpipe_size(&write, PIPE_BYTES);
        Ok(Self { read, write })
    }

    /// Moves what is in the receive queue of `socket`, which has to be non-blocking, into the pipe;
    /// 0 at the end of the stream, and where that has come but urgent data is in the way.
    ///
    /// # Errors
    /// As splice(2).
    pub(crate) fn fill(&self, socket: impl AsFd) -> io::Result<usize> {
        Ok(splice(socket, None, &self.write, None, PIPE_BYTES, flags())?)
    }

    /// Moves up to `bytes` from the pipe into the send queue of `socket`, which has to be
    /// non-blocking: the flag that says so for the call is about the pipe, and not every kernel
    /// heeds it for the socket.
    ///
    /// # Errors
    /// As splice(2).
    pub(crate) fn drain(&self, socket: impl AsFd, bytes: usize) -> io::Result<usize> {
        Ok(splice(&self.read, None, socket, None, bytes, flags())?)
    }
}

fn flags() -> SpliceFlags {
    SpliceFlags::MOVE | SpliceFlags::NONBLOCK
}

/// One core's pipes: made when needed, kept for the next use.
#[derive(Debug)]
pub(crate) struct Pipes {
    free: Vec<Pipe>,
    made: usize,
    max: usize,
}

impl Pipes {
    /// At most `max` pipes, two descriptors each.
    pub(crate) fn new(max: usize) -> Self {
        Self { free: Vec::new(), made: 0, max }
    }

    /// An empty pipe, if there may be another.
    pub(crate) fn take(&mut self) -> Option<Pipe> {
        if let Some(pipe) = self.free.pop() {
            return Some(pipe);
        }
        if self.made == self.max {
            return None;
        }
        match Pipe::new() {
            Ok(pipe) => {
                self.made += 1;
                Some(pipe)
            }
            Err(error) => {
                log::debug!("no pipe to splice through: {error}");
                None
            }
        }
    }

    /// Takes back an empty pipe.
    pub(crate) fn put_back(&mut self, pipe: Pipe) {
        self.free.push(pipe);
    }

    /// Closes a pipe together with what is in it.
    pub(crate) fn discard(&mut self, pipe: Pipe) {
        self.made -= 1;
        drop(pipe);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    #[test]
    fn bytes_go_from_socket_to_socket() {
        let (mut sender, from) = pair();
        let (to, mut receiver) = pair();
        to.set_nonblocking(true).unwrap();
        let pipe = Pipes::new(1).take().unwrap();
        sender.write_all(b"through").unwrap();
        assert_eq!(pipe.fill(&from).unwrap(), 7);
        assert_eq!(pipe.drain(&to, 7).unwrap(), 7);
        let mut answer = [0; 7];
        receiver.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"through");
        drop(sender);
        assert_eq!(pipe.fill(&from).unwrap(), 0);
    }

    #[test]
    fn a_full_socket_does_not_block() {
        let (mut sender, from) = pair();
        let (to, _receiver) = pair();
        to.set_nonblocking(true).unwrap();
        let pipe = Pipes::new(1).take().unwrap();
        let mut moved = 0;
        let error = loop {
            sender.write_all(&[1; 4096]).unwrap();
            let bytes = pipe.fill(&from).unwrap();
            match pipe.drain(&to, bytes) {
                Ok(sent) => moved += sent,
                Err(error) => break error,
            }
            assert!(moved < 100_000_000);
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn there_are_no_more_pipes_than_allowed() {
        let mut pipes = Pipes::new(1);
        let pipe = pipes.take().unwrap();
        assert!(pipes.take().is_none());
        pipes.put_back(pipe);
        let pipe = pipes.take().unwrap();
        pipes.discard(pipe);
        assert!(pipes.take().is_some());
        assert!(Pipes::new(0).take().is_none());
    }
}
