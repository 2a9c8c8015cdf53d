//! The last things of a kind, numbered: who says which number it has seen last gets what
//! came after.

use std::collections::VecDeque;

/// At most so many of them, the oldest leaving first. Numbers count from 1.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    most: usize,
    last: u64,
    entries: VecDeque<T>,
}

impl<T> Recent<T> {
    /// None yet, and never more than `most`.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            last: 0,
            entries: VecDeque::new(),
        }
    }

    /// Adds one.
    pub(crate) fn add(&mut self, entry: T) {
        if self.entries.len() == self.most {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
        self.last += 1;
    }

    /// The number of the last one.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Those kept behind number `seen`, each with its number.
    pub(crate) fn behind(&self, seen: u64) -> impl Iterator<Item = (u64, &T)> {
        let numbered = (1..=self.last).rev().zip(self.entries.iter().rev());
        let new = numbered
            .take_while(move |(number, _)| *number > seen)
            .count();
        let first = self.entries.len() - new;
        let numbers = self.last - new as u64 + 1..;
        numbers.zip(self.entries.range(first..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_a_number_is_what_came_after_it_and_is_still_kept() {
        let behind = |recent: &Recent<char>, seen| {
            let new = recent
                .behind(seen)
                .map(|(number, c)| format!("{number}{c}"));
            new.collect::<Vec<_>>().join(" ")
        };
        let mut recent = Recent::new(3);
        assert_eq!(behind(&recent, 0), "");
        for c in 'a'..='e' {
            recent.add(c);
        }
        assert_eq!(recent.last(), 5);
        assert_eq!(behind(&recent, 0), "3c 4d 5e");
        assert_eq!(behind(&recent, 3), "4d 5e");
        assert_eq!(behind(&recent, 5), "");
        assert_eq!(behind(&recent, u64::MAX), "");
    }
}
