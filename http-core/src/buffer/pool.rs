//! Buffers for connections that are busy. An idle connection holds none.

use super::{recv_buf::RecvBuf, send_queue::SendQueue};

/// What a connection works in: what came, and what goes.
#[derive(Debug, Default)]
pub struct Buffers {
    /// Received and not used up.
    pub input: RecvBuf,
    /// To be sent.
    pub out: SendQueue,
}

impl Buffers {
    /// Whether nothing in them belongs to a connection any more.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.input.is_empty() && self.out.is_empty()
    }
}

/// A bounded store of buffers, last in first out so that the next one is warm in the cache.
#[derive(Debug)]
pub struct BufPool {
    #[expect(clippy::vec_box, reason = "lent as boxes, so that a connection without buffers keeps one word")]
    free: Vec<Box<Buffers>>,
    most: usize,
}

impl BufPool {
    /// A pool that keeps at most this many free buffers.
    pub fn new(most: usize) -> BufPool {
        BufPool { free: Vec::new(), most }
    }

    /// Lends a pair of empty buffers.
    #[inline]
    pub fn take(&mut self) -> Box<Buffers> {
        self.free.pop().unwrap_or_default()
    }

    /// Takes buffers back. This is the only way back, and it always empties them: what one peer left behind
    /// must never reach the next.
    #[inline]
    pub fn put(&mut self, mut buffers: Box<Buffers>) {
        buffers.input.clear();
        buffers.out.clear();
        if self.free.len() < self.most {
            self.free.push(buffers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dirty_buffer_comes_back_clean() {
        let mut pool = BufPool::new(1);
        let mut buffers = pool.take();
        buffers.input.extend(b"secret");
        buffers.out.write(|text| text.extend_from_slice(b"secret"));
        pool.put(buffers);
        assert!(pool.take().is_empty());
    }
}
