//! What waits to be written to one connection: finished units, bounded in bytes.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

/// Capacity kept through quiet times; more is given back.
const KEPT_UNITS: usize = 8;

/// Units in order. The first may be partly written.
#[derive(Default, Debug)]
pub struct Outbox {
    units: VecDeque<Bytes>,
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
        self.units.is_empty()
    }

    /// Units waiting.
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// True where a unit of `len` bytes fits under `limit`; an empty outbox
    /// takes one of any size.
    pub fn fits(&self, len: usize, limit: usize) -> bool {
        self.units.is_empty() || self.bytes + len <= limit
    }

    /// Adds a unit; empty ones vanish.
    pub fn push(&mut self, unit: Bytes) {
        if !unit.is_empty() {
            self.bytes += unit.len();
            self.units.push_back(unit);
        }
    }

    /// Fills `slices` from the front; returns how many it filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slice, unit) in slices.iter_mut().zip(&self.units) {
            *slice = IoSlice::new(unit);
            count += 1;
        }
        count
    }

    /// Takes `taken` bytes off the front.
    pub fn advance(&mut self, mut taken: usize) {
        self.bytes = self.bytes.saturating_sub(taken);
        while let Some(unit) = self.units.front_mut() {
            if taken < unit.len() {
                self.partial |= taken > 0;
                bytes::Buf::advance(unit, taken);
                break;
            }
            taken -= unit.len();
            self.units.pop_front();
            self.partial = false;
        }
        self.give_back();
    }

    /// Takes the first unit, or what is left of it.
    pub fn pop(&mut self) -> Option<Bytes> {
        let unit = self.units.pop_front()?;
        self.bytes -= unit.len();
        self.partial = false;
        self.give_back();
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

    fn give_back(&mut self) {
        if self.units.is_empty() && self.units.capacity() > KEPT_UNITS {
            self.units = VecDeque::new();
        }
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
