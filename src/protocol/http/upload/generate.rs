//! Generated content: incompressible bytes that come once, as cheap as copying memory.
//!
//! SplitMix64 ([`crate::base::random`]) from a seed of its own for each upload. A pass through the same seed gives the same
//! bytes, whatever the sizes of the chunks, for a redirect that wants a body again.

use bytes::Bytes;

use crate::base::random::Stream;
use crate::expr::unique;

/// What one generated part is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::protocol::http) struct Seed([u64; 2]);

impl Seed {
    /// One that never comes twice, neither in this run nor in another.
    pub fn unique() -> Self {
        Self(unique())
    }
}

/// A pass through the content of a seed.
#[derive(Debug)]
pub(super) struct Generator {
    stream: Stream,
    /// What is left of the last word.
    rest: u64,
    bytes: usize,
}

impl Generator {
    pub fn new(Seed(seed): Seed) -> Self {
        Self { stream: Stream::keyed(&seed), rest: 0, bytes: 0 }
    }

    /// The next `length` bytes.
    pub fn next(&mut self, length: usize) -> Bytes {
        let mut chunk = vec![0; length];
        let mut at = 0;
        while self.bytes > 0 && at < length {
            chunk[at] = self.byte();
            at += 1;
        }
        let mut words = chunk[at..].chunks_exact_mut(8);
        for word in &mut words {
            word.copy_from_slice(&self.stream.next_u64().to_le_bytes());
        }
        let last = words.into_remainder();
        if !last.is_empty() {
            (self.rest, self.bytes) = (self.stream.next_u64(), 8);
            for byte in last {
                *byte = self.byte();
            }
        }
        chunk.into()
    }

    fn byte(&mut self) -> u8 {
        let [byte, ..] = self.rest.to_le_bytes();
        self.rest >>= 8;
        self.bytes -= 1;
        byte
    }
}
