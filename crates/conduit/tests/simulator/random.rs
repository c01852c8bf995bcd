//! The generator of all random decisions of a run.

/// SplitMix64: each seed gives one sequence.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// A length: mostly small, at times around the size of a buffer.
    pub(crate) fn length(&mut self) -> usize {
        let bound = match self.below(16) {
            0..=4 => 8,
            5..=9 => 300,
            10..=13 => 5_000,
            14 => 20_000,
            _ => 150_000,
        };
        self.below(bound)
    }
}
