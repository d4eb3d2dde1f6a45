use std::io::{self, Read, Write};
use std::net::TcpStream;

/// Bytes without a short period, the same each time.
#[derive(Debug)]
pub struct Noise {
    block: Vec<u8>,
}

impl Noise {
    /// The same as ever.
    #[expect(clippy::new_without_default, reason = "it makes a megabyte")]
    pub fn new() -> Self {
        // xorshift32 (Marsaglia 2003). The length is a prime: no buffer's size divides it.
        let mut state = 2_463_534_242_u32;
        let block = (0..1_000_003).map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[0]
        });
        Self { block: block.collect() }
    }

    /// The first `length` bytes.
    pub fn bytes(&self, length: usize) -> Vec<u8> {
        self.block.iter().copied().cycle().take(length).collect()
    }

    /// Sends the first `length` bytes.
    pub fn send(&self, mut stream: &TcpStream, length: usize) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            let piece = left.min(self.block.len());
            stream.write_all(&self.block[..piece])?;
            left -= piece;
        }
        Ok(())
    }

    /// Reads up to FIN or an error; the number of bytes, and how it ended.
    ///
    /// # Panics
    /// At the first byte that is another.
    pub fn receive(&self, mut stream: &TcpStream) -> (usize, io::Result<()>) {
        let mut bytes = vec![0; 256 * 1024];
        let mut received = 0;
        loop {
            let position = received % self.block.len();
            let most = bytes.len().min(self.block.len() - position);
            match stream.read(&mut bytes[..most]) {
                Ok(0) => return (received, Ok(())),
                Ok(count) => {
                    let right = bytes[..count] == self.block[position..position + count];
                    assert!(right, "wrong bytes between {received} and {}", received + count);
                    received += count;
                }
                Err(error) => return (received, Err(error)),
            }
        }
    }
}
