//! A pool of buffers for busy connections. An idle connection holds no buffers.

use super::{recv_buf::RecvBuf, send_queue::SendQueue};

/// The receive buffer and the send queue of one connection.
#[derive(Debug, Default)]
pub struct Buffers {
    /// Bytes received and not consumed.
    pub input: RecvBuf,
    /// Responses to send.
    pub out: SendQueue,
}

impl Buffers {
    /// Returns whether both are empty, so that they can go back to the pool.
    pub fn is_empty(&self) -> bool {
        self.input.is_empty() && self.out.is_empty()
    }
}

/// A bounded pool of buffers: last in, first out, so that the next one is still in the CPU cache.
#[derive(Debug)]
pub struct BufferPool {
    #[expect(
        clippy::vec_box,
        reason = "lent as boxes, so that a connection without buffers stores one word"
    )]
    free: Vec<Box<Buffers>>,
    max_free: usize,
}

impl BufferPool {
    /// Creates a pool that keeps at most `max_free` unused buffers.
    pub fn new(max_free: usize) -> BufferPool {
        BufferPool { free: Vec::new(), max_free }
    }

    /// Takes empty buffers from the pool, or creates them.
    #[inline]
    pub fn take(&mut self) -> Box<Buffers> {
        self.free.pop().unwrap_or_default()
    }

    /// Returns buffers to the pool. Always clears them: the bytes of one client must never reach another.
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

    #[test]
    fn returned_buffers_are_cleared() {
        let mut pool = BufferPool::new(1);
        let mut buffers = pool.take();
        buffers.input.extend(b"secret");
        buffers.out.write(|text| text.extend_from_slice(b"secret"));
        pool.put(buffers);
        assert!(pool.take().is_empty());
    }
}
