//! Bytes turned into what a target needs.

/// The bytes that a fuzzer gave, taken from the front. What is asked for past
/// the end is zero or empty, so that every input means something.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// All of it.
    #[must_use]
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        byte
    }

    /// Two bytes.
    pub fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// Eight bytes.
    pub fn long(&mut self) -> u64 {
        (0..8).fold(0, |sum, _| sum << 8 | u64::from(self.byte()))
    }

    /// A length in one byte, and so many bytes, or what is left.
    pub fn part(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte()).min(self.0.len());
        let (part, rest) = self.0.split_at(len);
        self.0 = rest;
        part
    }

    /// A [part](Self::part) as text; what is not UTF-8 becomes U+FFFD.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(self.part()).into_owned()
    }

    /// Up to the next line end, which is dropped; the last line has none.
    pub fn line(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|b| *b == b'\n');
        let line = &self.0[..end.unwrap_or(self.0.len())];
        self.0 = &self.0[end.map_or(self.0.len(), |end| end + 1)..];
        line
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is left.
    #[must_use]
    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// A small generator of numbers (xorshift64*), for places to cut at and for the
/// tests' mutations: the same seed gives the same numbers everywhere.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// From bytes, so that a fuzzer which changes any of them changes the throws.
    #[must_use]
    pub fn of(data: &[u8]) -> Self {
        Self::new(data.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3)
        }))
    }

    /// The next number below `end`; 0 where that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let throw = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        throw as usize % end.max(1)
    }

    /// `data` in pieces: mostly small, some empty.
    pub fn cut<'a>(&mut self, mut data: &'a [u8]) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        while !data.is_empty() {
            let most = [1, 3, 20, data.len()][self.below(4)];
            let (piece, rest) = data.split_at(self.below(most + 1).min(data.len()));
            pieces.push(piece);
            data = rest;
        }
        pieces
    }
}
