//! Numbers that look like chance and are the same again for the same seed.

/// SplitMix64: three lines, and good enough for where sparks lie.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `most`.
    pub(super) fn below(&mut self, most: u16) -> u16 {
        let scaled = ((self.next() >> 48) * u64::from(most)) >> 16;
        u16::try_from(scaled).unwrap_or_default()
    }
}
