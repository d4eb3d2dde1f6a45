use std::os::fd::OwnedFd;

use socket2::SockRef;

use crate::flow::Side;
use crate::sys::pipes::Pipe;

/// A connection's descriptors, by side.
#[derive(Debug, Default)]
pub(in crate::worker) struct Sockets {
    ends: [Option<OwnedFd>; 2],
    /// By the side they go to.
    pipes: [Option<FilledPipe>; 2],
    is_nonblocking: bool,
}

/// A pipe with something in it.
#[derive(Debug)]
pub(in crate::worker) struct FilledPipe {
    pub(in crate::worker) pipe: Pipe,
    pub(in crate::worker) bytes: u32,
}

impl Sockets {
    /// The one of a side; of the target's side also while it is being connected.
    pub(in crate::worker) fn get(&self, side: Side) -> Option<&OwnedFd> {
        self.ends[side as usize].as_ref()
    }

    /// All there are.
    pub(in crate::worker) fn iter(&self) -> impl Iterator<Item = &OwnedFd> {
        self.ends.iter().flatten()
    }

    pub(super) fn put(&mut self, side: Side, socket: OwnedFd) {
        self.ends[side as usize] = Some(socket);
    }

    pub(in crate::worker) fn take(&mut self, side: Side) -> Option<OwnedFd> {
        self.ends[side as usize].take()
    }

    /// Makes both non-blocking, for splice(2). The ring's own operations don't mind.
    pub(in crate::worker) fn get_ready_to_splice(&mut self) {
        if !std::mem::replace(&mut self.is_nonblocking, true) {
            for socket in self.ends.iter().flatten() {
                let _ = SockRef::from(socket).set_nonblocking(true);
            }
        }
    }

    /// Keeps a pipe with `bytes` in it that go to `to`; one that was there already comes back.
    pub(in crate::worker) fn keep_pipe(
        &mut self,
        to: Side,
        pipe: Pipe,
        bytes: u32,
    ) -> Option<Pipe> {
        let old = self.pipes[to as usize].replace(FilledPipe { pipe, bytes });
        old.map(|old| old.pipe)
    }

    /// A side's socket and the pipe to it.
    pub(in crate::worker) fn with_pipe(&mut self, to: Side) -> Option<(&OwnedFd, &mut FilledPipe)> {
        self.ends[to as usize].as_ref().zip(self.pipes[to as usize].as_mut())
    }

    /// Lets go of the pipe to a side.
    pub(in crate::worker) fn take_pipe(&mut self, to: Side) -> Option<Pipe> {
        self.pipes[to as usize].take().map(|filled| filled.pipe)
    }
}
