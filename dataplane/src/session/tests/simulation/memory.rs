pub(super) const BUFFER_SIZE: usize = 16;

/// Buffers, of which sessions have to return each once.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// None: it is free.
    buffers: Vec<Option<[u8; BUFFER_SIZE]>>,
    free: Vec<u16>,
}

impl Memory {
    /// Puts the bytes into a buffer that is free: its number.
    pub(super) fn keep(&mut self, bytes: [u8; BUFFER_SIZE]) -> u16 {
        let buffer = self.free.pop().unwrap_or_else(|| {
            self.buffers.push(None);
            u16::try_from(self.buffers.len() - 1).expect("few buffers")
        });
        self.buffers[usize::from(buffer)] = Some(bytes);
        buffer
    }

    pub(super) fn buffer(&self, number: u16) -> &[u8; BUFFER_SIZE] {
        let buffer = self.buffers[usize::from(number)].as_ref();
        buffer.expect("a buffer that is being sent is not free")
    }

    pub(super) fn recycle(&mut self, buffer: u16) {
        let memory = self.buffers[usize::from(buffer)].take();
        assert!(memory.is_some(), "buffer {buffer} is recycled twice");
        self.free.push(buffer);
    }

    pub(super) fn assert_all_returned(&self) {
        assert_eq!(self.free.len(), self.buffers.len(), "buffers were not returned");
    }
}
