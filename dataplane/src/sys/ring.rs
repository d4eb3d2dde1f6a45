//! A core's `io_uring` ring with its buffers: what is submitted, and what came of it.
//!
//! The interface is safe because the ring owns all memory the kernel is told about: buffers are
//! never given back to the allocator, addresses and timespecs outlive their submission. What is
//! done to which descriptor when is the worker's business; mixing them up would be a bug, but not
//! undefined behaviour.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use exchange::ServiceIndex;
use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use socket2::SockAddr;

use super::buffers::{self, BUFFER_GROUP, Buffers};
use super::completion::{Completion, Kind, Token};
use crate::flow::{Key, Piece, Side};

/// Submission queue entries: more are submitted in several system calls.
const SUBMISSIONS_MAX: u32 = 1024;
/// One wake can bring many completions per submission (multishot); beyond this the kernel keeps
/// them in memory of its own.
const COMPLETIONS_MAX: u32 = 8 * SUBMISSIONS_MAX;

pub(crate) struct Ring {
    uring: IoUring,
    buffers: Buffers,
    /// Entries that found the submission queue full.
    backlog: VecDeque<squeue::Entry>,
    /// What submitted entries point to; kept until the kernel has taken the entries.
    addresses: Vec<Rc<SockAddr>>,
    woken_by: Box<u64>,
}

impl Ring {
    /// Makes the ring of the calling thread; no other may submit to it.
    ///
    /// # Errors
    /// As `io_uring_setup(2)` and `io_uring_register(2)`.
    pub(crate) fn new() -> io::Result<Self> {
        let mut uring: IoUring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_submit_all()
            .setup_cqsize(COMPLETIONS_MAX)
            .dontfork()
            .build(SUBMISSIONS_MAX)?;
        uring.submitter().register_ring_fd()?;
        let buffers = Buffers::register(&mut uring)?;
        Ok(Self {
            uring,
            buffers,
            backlog: VecDeque::new(),
            addresses: Vec::new(),
            woken_by: Box::new(0),
        })
    }

    /// Accepts one connection of a service, or all that come until cancelled or out of descriptors:
    /// `Completion::Accepted` each.
    pub(crate) fn accept(
        &mut self,
        service: ServiceIndex,
        listener: BorrowedFd<'_>,
        multishot: bool,
    ) {
        let fd = Fd(listener.as_raw_fd());
        let flags = libc::SOCK_CLOEXEC;
        let nowhere = std::ptr::null_mut();
        let entry = if multishot {
            opcode::AcceptMulti::new(fd).flags(flags).build()
        } else {
            opcode::Accept::new(fd, nowhere, nowhere.cast()).flags(flags).build()
        };
        self.push(entry.user_data(Token::accept(service).pack()));
    }

    /// Ends every [`Ring::accept`] of a service; a last `Completion::Accepted` follows for each.
    pub(crate) fn cancel_accepts(&mut self, service: ServiceIndex) {
        let operations = CancelBuilder::user_data(Token::accept(service).pack()).all();
        let entry = opcode::AsyncCancel2::new(operations).build();
        self.push_unanswered(entry);
    }

    /// Waits for a wake through `waker`: one `Completion::Woken` follows.
    pub(crate) fn read_wake(&mut self, waker: BorrowedFd<'_>) {
        let target = std::ptr::from_mut::<u64>(&mut self.woken_by).cast();
        let entry = opcode::Read::new(Fd(waker.as_raw_fd()), target, 8)
            .build()
            .user_data(Token::bare(Kind::Wake).pack());
        self.push(entry);
    }

    /// Connects `socket`: one `Completion::Connected` follows.
    pub(crate) fn connect(&mut self, key: Key, socket: &OwnedFd, address: &Rc<SockAddr>) {
        let entry =
            opcode::Connect::new(Fd(socket.as_raw_fd()), address.as_ptr().cast(), address.len())
                .build()
                .user_data(Token::new(Kind::Connect, key, Side::Target).pack());
        self.addresses.push(Rc::clone(address));
        self.push(entry);
    }

    /// Receives once, or until the stream ends: `Completion::Received` each. `idle`: a single
    /// receive does not look for data before the first wake.
    pub(crate) fn receive(
        &mut self,
        (key, from): (Key, Side),
        socket: &OwnedFd,
        multishot: bool,
        idle: bool,
    ) {
        /// From `linux/io_uring.h`.
        const IORING_RECVSEND_POLL_FIRST: u16 = 1;
        let fd = Fd(socket.as_raw_fd());
        let ioprio = if idle { IORING_RECVSEND_POLL_FIRST } else { 0 };
        let entry = if multishot {
            opcode::RecvMulti::new(fd, BUFFER_GROUP).build()
        } else {
            opcode::Recv::new(fd, std::ptr::null_mut(), 0)
                .buf_group(BUFFER_GROUP)
                .ioprio(ioprio)
                .build()
                .flags(squeue::Flags::BUFFER_SELECT)
        };
        self.push(entry.user_data(Token::new(Kind::Receive, key, from).pack()));
    }

    /// Sends all of `piece`: one `Completion::Sent` follows.
    ///
    /// # Panics
    /// When the piece is not within a buffer of this ring.
    pub(crate) fn send(&mut self, (key, to): (Key, Side), socket: &OwnedFd, piece: Piece) {
        let start = self.buffers.address(piece);
        let length = u32::from(piece.end - piece.start);
        let entry = opcode::Send::new(Fd(socket.as_raw_fd()), start, length)
            .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
            .build()
            .user_data(Token::new(Kind::Send, key, to).pack());
        self.push(entry);
    }

    /// Waits until something can be taken from `socket`, in a receive's place: one
    /// `Completion::Received` without meaning follows.
    pub(crate) fn await_readable(&mut self, key: Key, from: Side, socket: &OwnedFd) {
        let events = (libc::POLLIN | libc::POLLRDHUP).unsigned_abs();
        self.poll(Token::new(Kind::Receive, key, from), socket, events);
    }

    /// Waits until something can be sent to `socket`, in a send's place: one `Completion::Sent`
    /// without meaning follows.
    pub(crate) fn await_writable(&mut self, key: Key, to: Side, socket: &OwnedFd) {
        self.poll(Token::new(Kind::Send, key, to), socket, libc::POLLOUT.unsigned_abs());
    }

    fn poll(&mut self, token: Token, socket: &OwnedFd, events: u16) {
        let entry = opcode::PollAdd::new(Fd(socket.as_raw_fd()), events.into()).build();
        self.push(entry.user_data(token.pack()));
    }

    /// Waits for errors, until cancelled: `Completion::Watched` each.
    pub(crate) fn watch(&mut self, key: Key, side: Side, socket: &OwnedFd) {
        // The kernel adds POLLHUP and POLLRDHUP to what is asked for: a single poll would end at
        // once, and each time, for a connection that FIN has come from. A multishot poll is edge
        // triggered: it tells of FIN once, then waits on.
        let events = u32::from(libc::POLLERR.unsigned_abs());
        let entry = opcode::PollAdd::new(Fd(socket.as_raw_fd()), events)
            .multi(true)
            .build()
            .user_data(Token::new(Kind::Watch, key, side).pack());
        self.push(entry);
    }

    /// Ends an operation on a side's connection, unless it is done already. Its completion follows all
    /// the same, as the last one where there are several.
    pub(crate) fn cancel(&mut self, kind: Kind, key: Key, side: Side) {
        let operation = Token::new(kind, key, side);
        self.push_unanswered(opcode::AsyncCancel::new(operation.pack()).build());
    }

    /// Closes `descriptor` with the next submission.
    pub(crate) fn close(&mut self, descriptor: OwnedFd) {
        self.push_unanswered(opcode::Close::new(Fd(descriptor.into_raw_fd())).build());
    }

    /// What receives bring bytes in, and sends take them from.
    pub(crate) fn buffers(&mut self) -> &mut Buffers {
        &mut self.buffers
    }

    /// Submits what was asked for and waits until there is a completion or `timeout` is over.
    ///
    /// # Errors
    /// As `io_uring_enter(2)`, other than what is normal: ETIME, EINTR, EBUSY and EAGAIN (take the
    /// completions first).
    pub(crate) fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        self.buffers.publish();
        self.flush_backlog();
        let timespec = Timespec::from(timeout);
        let arguments = SubmitArgs::new().timespec(&timespec);
        let waited = self.uring.submitter().submit_with_args(1, &arguments);
        self.forget_addresses();
        match waited.map_err(|error| (error.raw_os_error(), error)) {
            Err((Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN), _)) | Ok(_) => {
                Ok(())
            }
            Err((_, error)) => Err(error),
        }
    }

    /// Appends the completions that have arrived to `completions`.
    pub(crate) fn completions(&mut self, completions: &mut Vec<Completion>) {
        let buffers = &mut self.buffers;
        completions.extend(self.uring.completion().filter_map(|entry| {
            if let Some(buffer) = cqueue::buffer_select(entry.flags()) {
                // An error with a buffer brings no bytes: nobody else would give the buffer back.
                let failed = entry.result() < 0;
                let full = entry.result() == i32::from(buffers::BUFFER_SIZE);
                buffers.take(buffer, full);
                if failed {
                    buffers.recycle(buffer);
                }
            }
            // SAFETY: the entry is a completion of this ring and read once, so a descriptor in it
            // is a new one that nobody else owns.
            unsafe { Completion::from_entry(&entry) }
        }));
    }

    fn push_unanswered(&mut self, entry: squeue::Entry) {
        let entry = entry.flags(squeue::Flags::SKIP_SUCCESS);
        self.push(entry.user_data(Token::bare(Kind::Ignored).pack()));
    }

    fn push(&mut self, entry: squeue::Entry) {
        if self.backlog.is_empty() && self.try_push(&entry) {
            return;
        }
        self.backlog.push_back(entry);
        if self.backlog.len() >= SUBMISSIONS_MAX as usize {
            // An error comes up again, and is dealt with, in `wait`.
            drop(self.uring.submit());
            self.flush_backlog();
        }
    }

    fn flush_backlog(&mut self) {
        while let Some(entry) = self.backlog.pop_front() {
            if self.try_push(&entry) {
                continue;
            }
            let submitted = self.uring.submit();
            if !self.try_push(&entry) {
                log::debug!("the kernel takes no submissions for now: {submitted:?}");
                self.backlog.push_front(entry);
                return;
            }
        }
    }

    fn try_push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: the kernel requires what the entry points to until the operation has completed:
        // - buffers of `self.buffers` are never freed, and it is sound for the kernel to read or
        //   write them at any time because no reference to their bytes is ever made;
        // - `woken_by` is boxed, not read, and leaked if the ring is dropped (see `Drop`);
        // - an address is read when the entry is submitted; until then `addresses` shares it.
        // Descriptors are plain numbers: a wrong one gives EBADF or wrong I/O, not wrong memory.
        unsafe { self.uring.submission().push(entry).is_ok() }
    }

    fn forget_addresses(&mut self) {
        if self.backlog.is_empty() && self.uring.submission().is_empty() {
            self.addresses.clear();
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // A read of the eventfd may still be in flight when the kernel tears the ring down later.
        Box::leak(std::mem::take(&mut self.woken_by));
    }
}

#[cfg(test)]
mod tests;
