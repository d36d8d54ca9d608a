//! Messages that were read and have not been looked at: bounded in number, and in bytes by about the longest message that may come.

use std::collections::VecDeque;

/// The most messages.
const MOST: usize = 1024;

/// The messages, first come first. Costs nothing while it is empty.
pub(super) struct BoundedQueue<T> {
    messages: VecDeque<(usize, T)>,
    bytes: usize,
    /// The longest message that may come.
    longest: usize,
}

impl<T> BoundedQueue<T> {
    /// For messages of a connection that takes none longer than this.
    pub fn new(longest: usize) -> Self {
        Self { messages: VecDeque::new(), bytes: 0, longest }
    }

    /// Whether another may be kept: so twice the longest is the most.
    pub fn has_room(&self) -> bool {
        self.messages.len() < MOST && self.bytes < self.longest
    }

    /// Keeps a message of this size.
    pub fn push(&mut self, size: usize, message: T) {
        self.bytes += size;
        self.messages.push_back((size, message));
    }

    /// The first one.
    pub fn pop(&mut self) -> Option<T> {
        let (size, message) = self.messages.pop_front()?;
        self.bytes -= size;
        if self.messages.is_empty() {
            self.messages = VecDeque::new();
        }
        Some(message)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.messages = VecDeque::new();
        self.bytes = 0;
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_bounded_both_ways_and_keeps_the_order() {
        let mut kept = BoundedQueue::new(100);
        for n in 0..MOST {
            assert!(kept.has_room());
            kept.push(0, n);
        }
        assert!(!kept.has_room());
        assert!((0..MOST).all(|n| kept.pop() == Some(n)) && kept.is_empty());
        kept.push(99, 0);
        assert!(kept.has_room());
        kept.push(1, 1);
        assert!(!kept.has_room());
        kept.pop();
        assert!(kept.has_room());
    }
}
