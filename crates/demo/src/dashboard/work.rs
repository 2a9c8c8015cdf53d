//! Long work, done in steps between which it can be stopped.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

/// What a job does with all numbers below another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Work {
    /// Counts the primes.
    Primes,
    /// Halve what is even, take three times what is odd and one more, until it is 1:
    /// finds the number from which that takes the most steps.
    Collatz,
}

/// Is told how many numbers are done; breaking ends the work.
pub(super) trait Told: FnMut(u64) -> ControlFlow<()> {}
impl<F: FnMut(u64) -> ControlFlow<()>> Told for F {}

/// Numbers in one step: some milliseconds of work, and a table that fits into the cache.
const STEP: u64 = 1 << 17;

impl Work {
    /// The highest number below which it can be done: a minute or so.
    pub(super) fn most(self) -> u64 {
        match self {
            Self::Primes => 10_000_000_000,
            // From numbers below this, no way leads above 64 bits.
            Self::Collatz => 1_000_000_000,
        }
    }

    /// Does it, and says what came of it; nothing where it was ended.
    pub(super) fn run(self, below: u64, told: impl Told) -> Option<String> {
        let done = match self {
            Self::Primes => primes(below, told),
            Self::Collatz => collatz(below, told),
        };
        done.continue_value()
    }
}

/// The sieve of Eratosthenes, a stretch of numbers at a time.
fn primes(below: u64, mut told: impl Told) -> ControlFlow<(), String> {
    let small = small_primes(below.isqrt());
    let (mut count, mut largest) = (0_u64, 0);
    for start in (0..below).step_by(STEP as usize) {
        let end = below.min(start + STEP);
        let mut prime = vec![true; (end - start) as usize];
        for divisor in &small {
            // Smaller multiples have a smaller divisor, too.
            let first = (divisor * divisor).max(start.next_multiple_of(*divisor));
            for multiple in (first..end).step_by(*divisor as usize) {
                prime[(multiple - start) as usize] = false;
            }
        }
        for (number, _) in (start..end)
            .zip(prime)
            .filter(|(n, prime)| *prime && *n > 1)
        {
            count += 1;
            largest = number;
        }
        told(end)?;
    }
    ControlFlow::Continue(format!("{count} primes, the largest is {largest}"))
}

/// All primes up to `most`, by division.
fn small_primes(most: u64) -> Vec<u64> {
    let mut primes: Vec<u64> = Vec::new();
    for n in 2..=most {
        let mut divisors = primes.iter().take_while(|p| **p * **p <= n);
        if divisors.all(|p| n % p != 0) {
            primes.push(n);
        }
    }
    primes
}

fn collatz(below: u64, mut told: impl Told) -> ControlFlow<(), String> {
    let (mut longest, mut from) = (0, 1);
    for start in (1..below).step_by((STEP / 16) as usize) {
        let end = below.min(start + STEP / 16);
        for number in start..end {
            let (mut n, mut steps) = (number, 0_u32);
            while n != 1 {
                n = if n % 2 == 0 { n / 2 } else { 3 * n + 1 };
                steps += 1;
            }
            if steps > longest {
                (longest, from) = (steps, number);
            }
        }
        told(end)?;
    }
    ControlFlow::Continue(format!("from {from} it takes {longest} steps"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(work: Work, below: u64) -> Option<String> {
        let mut last = 0;
        let result = work.run(below, |done| {
            assert!(last < done && done <= below);
            last = done;
            ControlFlow::Continue(())
        });
        assert_eq!(last, below);
        result
    }

    #[test]
    fn what_comes_out_is_what_the_tables_say() {
        let primes = |below| done(Work::Primes, below).unwrap_or_default();
        assert_eq!(primes(10), "4 primes, the largest is 7");
        assert_eq!(primes(1_000_000), "78498 primes, the largest is 999983");
        // A step ends before, at and behind a prime.
        let count = |below: u64| primes(below).split(' ').next().map(str::to_owned);
        assert_eq!(count(131_071), Some("12250".into()));
        assert_eq!(count(131_072), Some("12251".into()));
        assert_eq!(count(131_073), Some("12251".into()));
        let longest = done(Work::Collatz, 100_000);
        assert_eq!(longest.as_deref(), Some("from 77031 it takes 350 steps"));
    }

    #[test]
    fn it_ends_where_it_is_told_to() {
        for work in [Work::Primes, Work::Collatz] {
            let mut steps = 0;
            let result = work.run(work.most(), |_| {
                steps += 1;
                if steps == 3 {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            });
            assert_eq!((result, steps), (None, 3));
        }
    }
}
