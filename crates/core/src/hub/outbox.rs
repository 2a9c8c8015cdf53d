//! What waits to be written to one connection: finished units, bounded in bytes.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

/// Capacity kept through quiet times; more is given back.
const KEPT_UNITS: usize = 8;

/// Units in order. The first may be partly written.
///
/// Almost always there is one or none: the first stands in the outbox itself,
/// so that a delivery touches no memory beyond it.
#[derive(Default, Debug)]
pub struct Outbox {
    /// Empty: nothing waits.
    first: Bytes,
    /// What comes after it; empty where `first` is.
    rest: VecDeque<Bytes>,
    bytes: usize,
    partial: bool,
}

impl Outbox {
    /// Bytes waiting.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// True where nothing waits.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Units waiting.
    pub fn len(&self) -> usize {
        usize::from(!self.first.is_empty()) + self.rest.len()
    }

    /// True where a unit of `len` bytes fits under `limit`; an empty outbox
    /// takes one of any size.
    pub fn fits(&self, len: usize, limit: usize) -> bool {
        self.is_empty() || self.bytes + len <= limit
    }

    /// Adds a unit; empty ones vanish.
    pub fn push(&mut self, unit: Bytes) {
        if unit.is_empty() {
            return;
        }
        self.bytes += unit.len();
        if self.first.is_empty() {
            self.first = unit;
        } else {
            self.rest.push_back(unit);
        }
    }

    /// What waits, where it is one unit or the rest of one.
    pub fn single(&self) -> Option<&[u8]> {
        (self.rest.is_empty() && !self.first.is_empty()).then_some(&self.first)
    }

    /// Fills `slices` from the front; returns how many it filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        if self.first.is_empty() {
            return 0;
        }
        let mut count = 0;
        let units = std::iter::once(&self.first).chain(&self.rest);
        for (slice, unit) in slices.iter_mut().zip(units) {
            *slice = IoSlice::new(unit);
            count += 1;
        }
        count
    }

    /// Takes `taken` bytes off the front.
    pub fn advance(&mut self, mut taken: usize) {
        self.bytes = self.bytes.saturating_sub(taken);
        while !self.first.is_empty() {
            if taken < self.first.len() {
                self.partial |= taken > 0;
                bytes::Buf::advance(&mut self.first, taken);
                return;
            }
            taken -= self.first.len();
            self.shift();
        }
    }

    /// Takes the first unit, or what is left of it.
    pub fn pop(&mut self) -> Option<Bytes> {
        if self.first.is_empty() {
            return None;
        }
        let unit = self.shift();
        self.bytes -= unit.len();
        Some(unit)
    }

    /// True where the first unit has been written in part: what follows is
    /// understood only after the rest of it.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes the first unit out; the next one moves up.
    fn shift(&mut self) -> Bytes {
        self.partial = false;
        let next = self.rest.pop_front().unwrap_or_default();
        if next.is_empty() && self.rest.capacity() > KEPT_UNITS {
            self.rest = VecDeque::new();
        }
        std::mem::replace(&mut self.first, next)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn partial_writes_go_on_where_they_stopped() {
        let mut outbox = Outbox::default();
        outbox.push(Bytes::from_static(b"hello"));
        outbox.push(Bytes::from_static(b""));
        outbox.push(Bytes::from_static(b"world"));
        assert_eq!((outbox.len(), outbox.bytes()), (2, 10));
        outbox.advance(7);
        assert_eq!(outbox.bytes(), 3);
        assert!(outbox.is_partial());
        assert_eq!(outbox.pop().unwrap(), &b"rld"[..]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn an_empty_outbox_takes_one_unit_of_any_size() {
        let mut outbox = Outbox::default();
        assert!(outbox.fits(1_000_000, 10));
        outbox.push(Bytes::from_static(b"x"));
        assert!(outbox.fits(9, 10));
        assert!(!outbox.fits(10, 10));
    }
}
