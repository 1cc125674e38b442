//! Addresses cut into runs over which something is the same, and what runs can be made of others.

use std::collections::HashMap;

use foldhash::fast::FixedState;

/// How many bits the first step of a look-up goes by: IPv6 is given out in blocks of 12 bits.
pub const TOP: u32 = 12;

/// An address of one family, as a number.
pub trait Address: Copy + Ord + Default {
    /// Its first `TOP` bits.
    fn top(self) -> usize;
    /// So many bits behind those.
    fn next(self, bits: u32) -> usize;
    /// How many of the first bits it has in common with another one.
    fn common(self, other: Self) -> u32;
    /// The address before it; None of the first one.
    fn before(self) -> Option<Self>;
    /// The first address behind the block of a length that it lies in; None: there is none.
    fn behind(self, prefix: u8) -> Option<Self>;
}

impl Address for u32 {
    fn top(self) -> usize {
        (self >> (32 - TOP)) as usize
    }

    fn next(self, bits: u32) -> usize {
        (self << TOP).checked_shr(32 - bits).unwrap_or(0) as usize
    }

    fn common(self, other: Self) -> u32 {
        (self ^ other).leading_zeros()
    }

    fn before(self) -> Option<Self> {
        self.checked_sub(1)
    }

    fn behind(self, prefix: u8) -> Option<Self> {
        (self | u32::MAX.checked_shr(prefix.into()).unwrap_or(0)).checked_add(1)
    }
}

impl Address for u128 {
    fn top(self) -> usize {
        (self >> (128 - TOP)) as usize
    }

    fn next(self, bits: u32) -> usize {
        (self << TOP).checked_shr(128 - bits).unwrap_or(0) as usize
    }

    fn common(self, other: Self) -> u32 {
        (self ^ other).leading_zeros()
    }

    fn before(self) -> Option<Self> {
        self.checked_sub(1)
    }

    fn behind(self, prefix: u8) -> Option<Self> {
        (self | u128::MAX.checked_shr(prefix.into()).unwrap_or(0)).checked_add(1)
    }
}

/// Where runs begin, ascending, the first at the first address; and what holds in each. Neighbours differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs<A> {
    starts: Vec<A>,
    values: Vec<u32>,
}

impl<A: Address> Runs<A> {
    /// Something holds from an address on that lies behind all that was told before.
    pub fn begin(&mut self, start: A, value: u32) {
        if self.values.last() != Some(&value) {
            self.starts.push(start);
            self.values.push(value);
        }
    }

    /// The first addresses.
    pub fn starts(&self) -> &[A] {
        &self.starts
    }

    /// What holds in each.
    pub fn values(&self) -> &[u32] {
        &self.values
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether nothing was told.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Whether these cover all addresses in their order.
    pub fn sound(&self) -> bool {
        self.starts.first() == Some(&A::default()) && self.starts.is_sorted_by(|a, b| a < b)
    }

    /// Octets of memory that these take.
    pub fn size(&self) -> usize {
        (size_of::<A>() + 4) * self.len()
    }

    /// The same runs with other values; `None` where there is none for a value.
    pub fn mapped(&self, values: &[u32]) -> Option<Self> {
        let mut found = Self::default();
        for (start, value) in self.starts.iter().zip(&self.values) {
            found.begin(*start, *values.get(*value as usize)?);
        }
        found.shrink();
        Some(found)
    }

    /// Give back the memory that was taken ahead.
    pub fn shrink(&mut self) {
        self.starts.shrink_to_fit();
        self.values.shrink_to_fit();
    }

    /// What several runs hold together, by the number that each combination of values has.
    fn over(layers: &[&Self], combinations: &mut Combinations) -> Self {
        let mut found = Self::default();
        let mut at = vec![0; layers.len()];
        let mut values: Vec<u32> = layers.iter().map(|layer| layer.values[0]).collect();
        let mut start = A::default();
        loop {
            found.begin(start, combinations.number(&values));
            let starts = layers
                .iter()
                .zip(&at)
                .filter_map(|(layer, at)| layer.starts.get(at + 1));
            let Some(next) = starts.min().copied() else {
                found.shrink();
                return found;
            };
            for ((layer, at), value) in layers.iter().zip(&mut at).zip(&mut values) {
                if layer.starts.get(*at + 1) == Some(&next) {
                    *at += 1;
                    *value = layer.values[*at];
                }
            }
            start = next;
        }
    }
}

/// Combinations of values, numbered as they are met.
#[derive(Default)]
struct Combinations {
    all: Vec<Box<[u32]>>,
    numbers: HashMap<Box<[u32]>, u32, FixedState>,
}

impl Combinations {
    fn number(&mut self, values: &[u32]) -> u32 {
        if let Some(known) = self.numbers.get(values) {
            return *known;
        }
        let number = self.all.len() as u32;
        self.all.push(values.into());
        self.numbers.insert(values.into(), number);
        number
    }
}

/// One fact about every address of both families, as a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// Of IPv4.
    pub v4: Runs<u32>,
    /// Of IPv6.
    pub v6: Runs<u128>,
}

impl Layer {
    /// Whether it covers all addresses.
    pub fn sound(&self) -> bool {
        self.v4.sound() && self.v6.sound()
    }

    /// What some layers, one at least, say together, and the combinations of their values by number.
    pub fn over(layers: &[&Self]) -> (Self, Vec<Box<[u32]>>) {
        let v4: Vec<_> = layers.iter().map(|layer| &layer.v4).collect();
        let v6: Vec<_> = layers.iter().map(|layer| &layer.v6).collect();
        let mut combinations = Combinations::default();
        let (v4, v6) = (
            Runs::over(&v4, &mut combinations),
            Runs::over(&v6, &mut combinations),
        );
        (Self { v4, v6 }, combinations.all)
    }

    /// The layer with other values; None where there is none for a value.
    pub fn mapped(&self, values: &[u32]) -> Option<Self> {
        Some(Self {
            v4: self.v4.mapped(values)?,
            v6: self.v6.mapped(values)?,
        })
    }

    /// How many IPv4 addresses have each of `values` values; None where there are more values.
    pub fn addresses(&self, values: usize) -> Option<Vec<u64>> {
        let mut found = vec![0; values];
        let starts = || self.v4.starts.iter().copied().map(u64::from);
        let ends = starts().skip(1).chain([1 << 32]);
        for ((start, end), value) in starts().zip(ends).zip(&self.v4.values) {
            *found.get_mut(*value as usize)? += end - start;
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(of: &[(u32, u32)]) -> Runs<u32> {
        let mut runs = Runs::default();
        of.iter().for_each(|&(start, value)| runs.begin(start, value));
        runs
    }

    #[test]
    fn behind_a_block_is_the_next_one() {
        assert_eq!(0x0A00_0000u32.behind(8), Some(0x0B00_0000));
        assert_eq!(7u32.behind(32), Some(8));
        assert_eq!(0u32.behind(0), None);
        assert_eq!(u128::MAX.behind(128), None);
        assert_eq!(0u128.behind(1), Some(1 << 127));
    }

    #[test]
    fn layers_cut_one_another() {
        let mut v6 = Runs::default();
        v6.begin(0u128, 0);
        let layer = |of| Layer {
            v4: runs(of),
            v6: v6.clone(),
        };
        let (one, other) = (layer(&[(0, 0), (4, 1), (8, 0)]), layer(&[(0, 7), (6, 8)]));
        let (both, combinations) = Layer::over(&[&one, &other]);
        assert_eq!(both.v4, runs(&[(0, 0), (4, 1), (6, 2), (8, 3)]));
        assert_eq!(both.v6.values(), [4]);
        let met: Vec<&[u32]> = combinations.iter().map(|values| &values[..]).collect();
        assert_eq!(met, [[0, 7], [1, 7], [1, 8], [0, 8], [0, 0]]);
    }

    #[test]
    fn neighbours_that_become_the_same_are_one() {
        let found = runs(&[(0, 0), (4, 1), (6, 2), (8, 3)]).mapped(&[5, 6, 6, 5]);
        assert_eq!(found, Some(runs(&[(0, 5), (4, 6), (8, 5)])));
        assert_eq!(runs(&[(0, 1)]).mapped(&[5]), None);
    }
}
