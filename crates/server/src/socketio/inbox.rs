//! What a client has said and nobody has handled yet: in order, and bounded.

use std::collections::VecDeque;

use crate::engineio::Reason;
use crate::handlers::{Args, Socket};

/// What one packet counts for beside its bytes.
const BOOKKEEPING: usize = 256;

/// Something to be handled in its turn.
pub(super) enum Item {
    /// A client wants in.
    Connect {
        namespace: String,
        auth: Option<String>,
    },
    /// It leaves.
    Disconnect { namespace: String },
    /// An event.
    Event {
        namespace: String,
        name: String,
        args: Args,
        id: Option<u64>,
    },
    /// A socket has gone: its code is to be told.
    Left(Socket, Reason),
}

/// The queue.
pub(super) struct Inbox {
    items: VecDeque<(Item, usize)>,
    bytes: usize,
    most: usize,
    most_bytes: usize,
}

impl Item {
    fn cost(&self) -> usize {
        match self {
            Self::Connect { namespace, auth } => {
                BOOKKEEPING + namespace.len() + auth.as_ref().map_or(0, String::len)
            }
            Self::Disconnect { namespace } => BOOKKEEPING + namespace.len(),
            Self::Event {
                namespace,
                name,
                args,
                ..
            } => BOOKKEEPING + namespace.len() + name.len() + args.size(),
            Self::Left(..) => 0,
        }
    }
}

impl Inbox {
    /// It has room below `most` items of `most_bytes` together.
    pub(super) fn new(most: usize, most_bytes: usize) -> Self {
        Self {
            items: VecDeque::new(),
            bytes: 0,
            most,
            most_bytes,
        }
    }

    /// Adds an item, whether there is room or not: what was read is not forgotten.
    /// Whoever reads asks [`Inbox::has_room`] first.
    pub(super) fn push(&mut self, item: Item) {
        let cost = item.cost();
        self.bytes += cost;
        self.items.push_back((item, cost));
    }

    /// The oldest.
    pub(super) fn pop(&mut self) -> Option<Item> {
        let (item, cost) = self.items.pop_front()?;
        self.bytes -= cost;
        if self.items.is_empty() {
            // Idle costs nothing.
            self.items = VecDeque::new();
        }
        Some(item)
    }

    /// Whether the client has said that it leaves this namespace.
    pub(super) fn leaves(&self, written: &str) -> bool {
        self.items
            .iter()
            .any(|(item, _)| matches!(item, Item::Disconnect { namespace } if namespace == written))
    }

    /// Whether more may be read.
    pub(super) fn has_room(&self) -> bool {
        self.items.len() < self.most && self.bytes < self.most_bytes
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn event(bytes: usize) -> Item {
        Item::Event {
            namespace: "/".into(),
            name: "e".into(),
            args: Args::received(&"1".repeat(bytes), Vec::new()),
            id: None,
        }
    }

    #[test]
    fn p6_it_is_bounded_by_number_and_by_bytes() {
        let mut inbox = Inbox::new(3, 1 << 20);
        for n in 0..3 {
            assert!(inbox.has_room(), "{n}");
            inbox.push(event(1));
        }
        assert!(!inbox.has_room());
        inbox.pop().unwrap();
        assert!(inbox.has_room());
        let mut inbox = Inbox::new(100, 1000);
        inbox.push(event(2000));
        assert!(!inbox.has_room());
        inbox.pop().unwrap();
        assert!(inbox.has_room() && inbox.bytes == 0 && inbox.pop().is_none());
    }
}
