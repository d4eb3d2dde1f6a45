use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering::Release};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

use crate::flow::Piece;

/// The size of a buffer in bytes: what one receive brings at most.
pub(crate) const BUFFER_SIZE: u16 = 16 * 1024;
pub(super) const BUFFER_GROUP: u16 = 0;

/// Entries of the ring of provided buffers, a power of two: most buffers ever on offer at once.
const PUBLISHED_MAX: u16 = 256;
/// Buffers on offer while few are asked for. The kernel uses all of them in turn, so this is also
/// the memory that moves through the caches: 16 × 16 KiB.
const PUBLISHED_MIN: u16 = 16;
/// Buffers that give their memory back in one go at most: bounds the pause of the core.
const TRIMMED_MAX: usize = 256;
/// Buffers are made in slabs of 1 MiB.
const SLAB_BUFFERS: u16 = 64;
/// Buffer ids have 16 bits: 65,536 × 16 KiB = 1 GiB per core.
const SLABS_MAX: usize = (1 << 16) / SLAB_BUFFERS as usize;

/// The memory that receives write to and sends read from.
///
/// The kernel takes buffers from a ring in the order in which they were put there. To touch little
/// memory, only a few are on offer at a time; free ones wait on a stack, the one used last on top.
/// More are offered when receives found none, and made when the stack is empty.
pub(crate) struct Buffers {
    ring: NonNull<BufRingEntry>,
    tail: u16,
    /// On offer to the kernel now, and how many should be.
    published: u16,
    published_wanted: u16,
    /// Buffers taken since the last top-up, by receives that did not fill them.
    taken_short: u16,
    /// The fewest on offer since the last `shrink`.
    published_least: u16,
    free: Vec<u16>,
    /// The fewest free since the last `shrink`: the lowest so many on the stack rested since.
    free_least: usize,
    /// A page holds several buffers (64 KiB pages on some arm64 kernels): none can be given back
    /// alone.
    pages_are_larger: bool,
    /// By buffer: it was written to, and so has memory behind it.
    touched: Vec<bool>,
    /// Slabs are never freed: an operation in flight may hold on to them until the ring's end,
    /// which the kernel may finish after ours.
    slabs: Vec<NonNull<u8>>,
    /// Ids handed out so far: all below.
    made: u32,
}

impl Buffers {
    pub(super) fn register(uring: &mut IoUring) -> io::Result<Self> {
        let bytes = usize::from(PUBLISHED_MAX) * size_of::<BufRingEntry>();
        let ring = map_memory(bytes).ok_or_else(io::Error::last_os_error)?.cast();
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
            taken_short: 0,
            published_least: 0,
            free: Vec::new(),
            free_least: 0,
            pages_are_larger: page_bytes() > i64::from(BUFFER_SIZE),
            touched: Vec::new(),
            slabs: Vec::new(),
            made: 0,
        };
        buffers.publish();
        Ok(buffers)
    }

    /// Tops up what is on offer.
    pub(super) fn publish(&mut self) {
        self.taken_short = 0;
        if self.published >= self.published_wanted {
            return;
        }
        while self.published < self.published_wanted {
            let Some(buffer) = self.take_free() else { break };
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

    /// The kernel has used a buffer that was on offer, all of it if `full`.
    pub(super) fn take(&mut self, buffer: u16, full: bool) {
        self.taken_short += u16::from(!full);
        debug_assert!(u32::from(buffer) < self.made);
        self.touched[usize::from(buffer)] = true;
        self.published -= 1;
        self.published_least = self.published_least.min(self.published);
    }

    /// Takes back a buffer that a completion or [`Buffers::write`] brought.
    pub(crate) fn recycle(&mut self, buffer: u16) {
        self.free.push(buffer);
    }

    /// Copies `bytes` into a free buffer, which is the caller's until it is recycled. None if there
    /// is none.
    ///
    /// # Panics
    /// When they are more than a buffer holds.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Option<Piece> {
        let end = u16::try_from(bytes.len()).ok().filter(|end| *end <= BUFFER_SIZE);
        let end = end.expect("the bytes fit into a buffer");
        let buffer = self.take_free()?;
        self.touched[usize::from(buffer)] = true;
        let piece = Piece { buffer, start: 0, end };
        // SAFETY: the piece lies within a buffer of ours that was free: the kernel neither has it
        // on offer nor works on it. Memory of the ring and a slice do not overlap.
        unsafe {
            let target = self.address(piece).cast_mut();
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len());
        }
        Some(piece)
    }

    /// Appends a piece's bytes to `bytes`.
    ///
    /// # Panics
    /// When the piece is not within a buffer that was made.
    pub(crate) fn read(&self, piece: Piece, bytes: &mut Vec<u8>) {
        let source = self.address(piece);
        bytes.reserve(piece.len());
        // SAFETY: the piece lies within a buffer, and as much room was reserved behind what
        // `bytes` holds; the copy makes no reference to the buffer, and any bytes are valid ones.
        unsafe {
            let target = bytes.as_mut_ptr().add(bytes.len());
            std::ptr::copy_nonoverlapping(source, target, piece.len());
            bytes.set_len(bytes.len() + piece.len());
        }
    }

    /// Puts more on offer after all were used. How many there are now.
    ///
    /// The number grows if many connections each had a little to say. A few that have a lot are
    /// no reason: they would only carry it through more memory than the caches hold.
    pub(crate) fn grow(&mut self) -> u16 {
        if self.published == 0 && self.taken_short > self.published_wanted / 2 {
            self.published_wanted = (self.published_wanted * 2).min(PUBLISHED_MAX);
        }
        self.publish();
        self.published
    }

    /// Offers fewer if many were never used since the last call, and gives the memory of those
    /// back that were free all the time since.
    pub(crate) fn shrink(&mut self) {
        let rested = std::mem::replace(&mut self.free_least, self.free.len());
        let rested = if self.pages_are_larger { 0 } else { rested };
        let touched = &self.touched;
        let of_rested = self.free[..rested].iter().copied();
        let trimmed = of_rested.filter(|&buffer| touched[usize::from(buffer)]);
        for buffer in trimmed.take(TRIMMED_MAX).collect::<Vec<_>>() {
            self.touched[usize::from(buffer)] = false;
            self.trim(buffer);
        }
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

    #[cfg(test)]
    pub(super) fn first_byte(&self, buffer: u16) -> u8 {
        let start = self.address(Piece { buffer, start: 0, end: 1 });
        // SAFETY: within a buffer, which the test knows to be free.
        unsafe { start.read() }
    }

    fn take_free(&mut self) -> Option<u16> {
        let buffer = self.free.pop().or_else(|| self.make())?;
        self.free_least = self.free_least.min(self.free.len());
        Some(buffer)
    }

    fn trim(&self, buffer: u16) {
        let start = self.address(Piece { buffer, start: 0, end: BUFFER_SIZE });
        // SAFETY: whole pages of one buffer, which is free: neither on offer nor in flight, so
        // nothing in it is wanted. It reads as zeroes afterwards.
        let result = unsafe {
            libc::madvise(start.cast_mut().cast(), usize::from(BUFFER_SIZE), libc::MADV_DONTNEED)
        };
        debug_assert_eq!(result, 0);
    }

    fn make(&mut self) -> Option<u16> {
        let buffer = u16::try_from(self.made).ok()?;
        if usize::from(buffer / SLAB_BUFFERS) == self.slabs.len() {
            debug_assert!(self.slabs.len() < SLABS_MAX);
            self.slabs.push(map_memory(usize::from(SLAB_BUFFERS) * usize::from(BUFFER_SIZE))?);
        }
        self.made += 1;
        self.touched.push(false);
        Some(buffer)
    }
}

fn page_bytes() -> i64 {
    // SAFETY: a query without pointers.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) }
}

/// Zeroed memory, page-aligned whatever the size of a page. It costs nothing before it is written
/// to. None if there is none to be had.
fn map_memory(bytes: usize) -> Option<NonNull<u8>> {
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches no other memory.
    let memory = unsafe { libc::mmap(std::ptr::null_mut(), bytes, prot, flags, -1, 0) };
    if memory == libc::MAP_FAILED { None } else { NonNull::new(memory.cast()) }
}
