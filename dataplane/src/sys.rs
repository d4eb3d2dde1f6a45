//! What the core asks of the kernel: its `io_uring` ring with its buffers, sockets and pipes. The only
//! room with `unsafe` code.

#[allow(unsafe_code, reason = "memory that the kernel reads and writes")]
mod buffers;
#[allow(unsafe_code, reason = "descriptors that the kernel hands out")]
mod completion;
pub(crate) mod keepalive;
pub(crate) mod listener;
pub(crate) mod pipes;
#[allow(unsafe_code, reason = "what submissions point to")]
mod ring;
#[allow(unsafe_code, reason = "system calls that no library offers as they are needed")]
mod socket;

pub(crate) use buffers::BUFFER_SIZE;
pub(crate) use completion::{Completion, Kind};
pub(crate) use ring::Ring;
pub(crate) use socket::{
    acknowledged_bytes, bind_address_without_port, listen_drops, peer_address, send_queue_bytes,
};
