use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering::Release};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

use crate::session::Piece;

/// The size of a buffer in bytes: what one receive brings at most.
pub(crate) const BUFFER_SIZE: u16 = 16 * 1024;
pub(super) const BUFFER_GROUP: u16 = 0;

/// Entries of the ring of provided buffers, a power of two: most buffers ever on offer at once.
const PUBLISHED_MAX: u16 = 1024;
/// Buffers on offer while few are asked for. The kernel uses all of them in turn, so this is also
/// the memory that moves through the caches: 16 × 16 KiB.
const PUBLISHED_MIN: u16 = 16;
/// Buffers are made in slabs of 1 MiB.
const SLAB_BUFFERS: u16 = 64;
/// Buffer ids have 16 bits: 65,536 × 16 KiB = 1 GiB per core.
const SLABS_MAX: usize = (1 << 16) / SLAB_BUFFERS as usize;

/// The memory that receives write to and sends read from.
///
/// The kernel takes buffers from a ring in the order in which they were put there. To touch little
/// memory, only a few are on offer at a time; free ones wait on a stack, the one used last on top.
/// More are offered when receives found none, and made when the stack is empty.
pub(super) struct Buffers {
    ring: NonNull<BufRingEntry>,
    tail: u16,
    /// On offer to the kernel now, and how many should be.
    published: u16,
    published_wanted: u16,
    /// The fewest on offer since the last `shrink`.
    published_least: u16,
    free: Vec<u16>,
    /// Slabs are never freed: an operation in flight may hold on to them until the ring's end,
    /// which the kernel may finish after ours.
    slabs: Vec<NonNull<u8>>,
    /// Ids handed out so far: all below.
    made: u32,
}

impl Buffers {
    pub(super) fn register(uring: &mut IoUring) -> io::Result<Self> {
        let bytes = usize::from(PUBLISHED_MAX) * size_of::<BufRingEntry>();
        let layout = std::alloc::Layout::from_size_align(bytes, 4096).expect("a constant layout");
        // SAFETY: the layout's size is not zero.
        let memory = unsafe { std::alloc::alloc_zeroed(layout) };
        let ring = NonNull::new(memory).ok_or(io::ErrorKind::OutOfMemory)?.cast();
        // SAFETY: page-aligned memory of the size that this number of entries takes, never freed.
        unsafe {
            uring.submitter().register_buf_ring_with_flags(
                ring.as_ptr() as u64,
                PUBLISHED_MAX,
                BUFFER_GROUP,
                0,
            )?;
        }
        let mut buffers = Self {
            ring,
            tail: 0,
            published: 0,
            published_wanted: PUBLISHED_MIN,
            published_least: 0,
            free: Vec::new(),
            slabs: Vec::new(),
            made: 0,
        };
        buffers.publish();
        Ok(buffers)
    }

    /// Tops up what is on offer.
    pub(super) fn publish(&mut self) {
        if self.published >= self.published_wanted {
            return;
        }
        while self.published < self.published_wanted {
            let Some(buffer) = self.free.pop().or_else(|| self.make()) else { break };
            let address = self.address(Piece { buffer, start: 0, end: BUFFER_SIZE });
            let index = usize::from(self.tail & (PUBLISHED_MAX - 1));
            // SAFETY: the index is within the ring's entries. The kernel does not read this entry
            // before the tail has moved past it: at most `PUBLISHED_MAX` are on offer. The fields
            // are set one by one because the tail lies in the first entry's unused bytes.
            unsafe {
                let entry = self.ring.as_ptr().add(index);
                (*entry).set_addr(address as u64);
                (*entry).set_len(u32::from(BUFFER_SIZE));
                (*entry).set_bid(buffer);
            }
            self.tail = self.tail.wrapping_add(1);
            self.published += 1;
        }
        // SAFETY: the ring's tail is a u16 within its memory, which only this thread writes, and
        // which the kernel reads with acquire semantics.
        unsafe {
            let tail = BufRingEntry::tail(self.ring.as_ptr());
            AtomicU16::from_ptr(tail.cast_mut()).store(self.tail, Release);
        }
    }

    /// The kernel has used a buffer that was on offer.
    pub(super) fn take(&mut self, buffer: u16) {
        debug_assert!(u32::from(buffer) < self.made);
        self.published -= 1;
        self.published_least = self.published_least.min(self.published);
    }

    pub(super) fn recycle(&mut self, buffer: u16) {
        self.free.push(buffer);
    }

    /// Puts more on offer after all were used. False if there is none to be had.
    pub(super) fn grow(&mut self) -> bool {
        if self.published == 0 {
            self.published_wanted = (self.published_wanted * 2).min(PUBLISHED_MAX);
        }
        self.publish();
        self.published > 0
    }

    /// Offers fewer if many were never used since the last call.
    pub(super) fn shrink(&mut self) {
        if self.published_least > self.published_wanted / 2 {
            self.published_wanted = (self.published_wanted / 2).max(PUBLISHED_MIN);
        }
        self.published_least = self.published;
    }

    /// Where a piece's bytes are.
    ///
    /// # Panics
    /// When the piece is not within a buffer that was made.
    pub(super) fn address(&self, piece: Piece) -> *const u8 {
        assert!(u32::from(piece.buffer) < self.made && piece.start <= piece.end);
        assert!(piece.end <= BUFFER_SIZE);
        let slab = self.slabs[usize::from(piece.buffer / SLAB_BUFFERS)];
        let within = usize::from(piece.buffer % SLAB_BUFFERS) * usize::from(BUFFER_SIZE);
        // SAFETY: the buffer lies within its slab, and the piece within the buffer.
        unsafe { slab.as_ptr().add(within + usize::from(piece.start)) }
    }

    fn make(&mut self) -> Option<u16> {
        let buffer = u16::try_from(self.made).ok()?;
        if usize::from(buffer / SLAB_BUFFERS) == self.slabs.len() {
            debug_assert!(self.slabs.len() < SLABS_MAX);
            // Zeroed memory of this size comes untouched from the kernel: it costs nothing before
            // a buffer is used for the first time.
            let slab = vec![0u8; usize::from(SLAB_BUFFERS) * usize::from(BUFFER_SIZE)];
            self.slabs.push(NonNull::from(Vec::leak(slab)).cast());
        }
        self.made += 1;
        Some(buffer)
    }
}
