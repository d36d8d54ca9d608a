//! What came while something was being sent: kept, with its time of receipt, until it is asked for.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::Value as Json;

use super::session::{Incoming, IncomingKind};

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
        self.bytes += size(&message);
        self.messages.push_back(message);
    }

    pub fn pop(&mut self) -> Option<Incoming> {
        let message = self.messages.pop_front()?;
        self.bytes -= size(&message);
        if self.messages.is_empty() {
            self.messages = VecDeque::new();
        }
        Some(message)
    }
}

/// About how many bytes a message holds.
pub(super) fn size(message: &Incoming) -> usize {
    match &message.kind {
        IncomingKind::Text(text) => text.len(),
        IncomingKind::Binary(bytes) => bytes.len(),
        IncomingKind::Event { args, attachments, .. } | IncomingKind::Ack { args, attachments, .. } => {
            args.iter().map(size_of_json).sum::<usize>() + attachments.iter().map(Bytes::len).sum::<usize>()
        }
    }
}

fn size_of_json(value: &Json) -> usize {
    let within = match value {
        Json::Null | Json::Bool(_) | Json::Number(_) => 0,
        Json::String(text) => text.len(),
        Json::Array(list) => list.iter().map(size_of_json).sum(),
        Json::Object(fields) => fields.iter().map(|(name, value)| name.len() + size_of_json(value)).sum(),
    };
    size_of::<Json>() + within
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn an_event_is_as_large_as_what_it_holds() {
        let args = vec![serde_json::json!({"a": ["x".repeat(1000), 1]})];
        let kind = IncomingKind::Event { event: "e".into(), args, attachments: vec![Bytes::from(vec![0; 500])], ack: None };
        assert!((1500..2000).contains(&size(&Incoming::now(kind))));
    }
}
