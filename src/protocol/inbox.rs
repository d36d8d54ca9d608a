//! What came while something was being sent: kept, with its time of receipt, until it is asked for.

use std::collections::VecDeque;

use super::message::Incoming;

/// The most messages that are kept: a peer that sends faster is read again once the send is over.
const MOST: usize = 256;

/// The messages, first come first. Costs nothing while it is empty.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    messages: VecDeque<Incoming>,
    bytes: usize,
}

impl Inbox {
    /// Whether another may be read, if messages of `most` bytes may come: so a connection holds two of them at the most.
    pub fn has_room(&self, most: usize) -> bool {
        self.messages.len() < MOST && self.bytes < most
    }

    pub fn push(&mut self, message: Incoming) {
        self.bytes += message.size();
        self.messages.push_back(message);
    }

    pub fn pop(&mut self) -> Option<Incoming> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.size();
        if self.messages.is_empty() {
            self.messages = VecDeque::new();
        }
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::message::IncomingKind;

    #[test]
    fn keeps_the_order_and_is_bounded() {
        let mut inbox = Inbox::default();
        for n in 0..MOST {
            assert!(inbox.has_room(1_000_000));
            inbox.push(Incoming::now(IncomingKind::Text(n.to_string().into())));
        }
        assert!(!inbox.has_room(1_000_000));
        for n in 0..MOST {
            assert_eq!(inbox.pop().unwrap().kind, IncomingKind::Text(n.to_string().into()));
        }
        assert!(inbox.pop().is_none() && inbox.bytes == 0);
        inbox.push(Incoming::now(IncomingKind::Binary(bytes::Bytes::from(vec![0; 100]))));
        assert!(!inbox.has_room(100) && inbox.has_room(101));
    }
}
