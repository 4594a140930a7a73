//! The pool from which a connection takes its buffers while it has bytes to receive or to send.
//!
//! An idle connection holds no buffers. A buffer in the pool must never hold bytes.

use super::{budget::MemoryBudget, recv_buf::RecvBuf, send_queue::SendQueue};

/// The receive buffer and the send queue of one connection.
///
/// ```
/// use http_core::Buffers;
///
/// let mut buffers = Buffers::default();
/// buffers.input.extend(b"GET /");
/// assert_eq!((buffers.input.unread(), buffers.is_empty()), (&b"GET /"[..], false));
/// ```
#[derive(Debug, Default)]
pub struct Buffers {
    /// The bytes received and not consumed.
    pub input: RecvBuf,
    /// The responses to send.
    pub out: SendQueue,
}

impl Buffers {
    /// Returns whether the receive buffer and the send queue are empty. Then they can be returned to the pool.
    pub fn is_empty(&self) -> bool {
        self.input.is_empty() && self.out.is_empty()
    }

    /// Frees the memory for received bytes while a stream waits for its source: nothing is received before its end.
    #[inline]
    pub fn shrink_while_streaming(&mut self) {
        if self.out.has_stream() && self.out.pending() == 0 {
            self.input.release();
        }
    }
}

/// A bounded pool of unused buffers. The buffers returned last are taken first: they are still in the CPU cache.
///
/// ```
/// use http_core::BufferPool;
///
/// let mut pool = BufferPool::new(16);
/// // A connection that becomes readable takes buffers, and returns them when it is idle again.
/// let mut buffers = pool.take();
/// buffers.input.extend(b"GET / HTTP/1.1\r\n");
/// pool.put(buffers);
/// assert!(pool.take().is_empty());
/// ```
#[derive(Debug)]
pub struct BufferPool {
    /// The unused buffers.
    #[expect(clippy::vec_box, reason = "a connection without buffers stores only an empty box pointer")]
    free: Vec<Box<Buffers>>,
    /// The maximum length of `free`.
    max_free: usize,
    /// Limits how far the receive buffers of this pool grow; `None` for no limit.
    budget: Option<MemoryBudget>,
}

impl BufferPool {
    /// Creates a pool that keeps at most `max_free` unused buffers.
    pub fn new(max_free: usize) -> BufferPool {
        BufferPool { free: Vec::new(), max_free, budget: None }
    }

    /// Limits the memory of all receive buffers that this pool and other pools with the same budget create. Call this
    /// before the first [`take`](BufferPool::take).
    pub fn with_budget(self, budget: MemoryBudget) -> BufferPool {
        BufferPool { budget: Some(budget), ..self }
    }

    /// Takes empty buffers from the pool. Creates them if the pool has none.
    #[inline]
    pub fn take(&mut self) -> Box<Buffers> {
        self.free.pop().unwrap_or_else(|| self.create())
    }

    /// Creates buffers whose memory counts against the budget of the pool.
    #[cold]
    fn create(&self) -> Box<Buffers> {
        let mut buffers = Box::<Buffers>::default();
        if let Some(budget) = &self.budget {
            buffers.input.set_budget(budget.clone());
        }
        buffers
    }

    /// Clears the buffers, and returns them to the pool. Frees them if the pool is full. The next connection that takes
    /// the buffers cannot see bytes of the connection that used them before.
    #[inline]
    pub fn put(&mut self, mut buffers: Box<Buffers>) {
        buffers.input.clear();
        buffers.out.clear();
        if self.free.len() < self.max_free {
            self.free.push(buffers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        buffer::chunk_source::{Chunk, ChunkSource},
        codec::framing::BodyLength,
    };

    #[test]
    fn returned_buffers_are_cleared() {
        let mut pool = BufferPool::new(1);
        let mut buffers = pool.take();
        buffers.input.extend(b"secret");
        assert!(!buffers.is_empty());
        buffers.out.write(|text| text.extend_from_slice(b"secret"));
        pool.put(buffers);
        assert!(pool.take().is_empty());
    }

    #[test]
    fn a_full_pool_frees_buffers() {
        let mut pool = BufferPool::new(1);
        for _ in 0..2 {
            pool.put(Box::default());
        }
        assert_eq!(pool.free.len(), 1);
    }

    #[test]
    fn only_a_pending_stream_frees_the_memory_for_received_bytes() {
        struct Silent;
        impl ChunkSource for Silent {
            fn next_chunk(&mut self, _: &mut Vec<u8>) -> std::io::Result<Chunk> {
                Ok(Chunk::Pending)
            }
        }
        let mut buffers = Buffers::default();
        let mut is_freed = |change: fn(&mut SendQueue)| {
            change(&mut buffers.out);
            buffers.shrink_while_streaming();
            buffers.input.spare().is_empty()
        };
        assert!(!is_freed(|_| {}));
        assert!(!is_freed(|out| out.write(|text| text.extend_from_slice(b"head"))));
        assert!(!is_freed(|out| out.push_stream(Box::new(Silent), BodyLength::Chunked)));
        assert!(is_freed(|out| out.sent(4)));
    }
}
