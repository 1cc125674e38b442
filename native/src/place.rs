//! From a client's network to its class in a plan: the databases, lines and own networks compiled to ranges.
//!
//! Neighbouring networks of the same class are one range, so a scope comes out as wide as it honestly can. A
//! look-up is two neighbouring entries of an index by the first bits of the address, then a binary search
//! between them: of a country's worth of ranges two or three lines of memory.

use std::sync::Arc;

use crate::edns::plain;
use crate::subnet::Subnet;

/// Who knows the class of a client in a plan, and the scope for which it holds, in bits of its family.
pub trait Classify {
    /// None where it is not known here, and Python is to be asked.
    fn find(&self, plan: u32, subnet: &Subnet) -> Option<(u32, u8)>;
}

/// An address as a number, and in which bucket of the index it lies; buckets rise with addresses.
pub trait Address: Copy + Ord + Default {
    /// Bits of an address.
    const BITS: u32;
    /// How many buckets there are.
    const BUCKETS: usize;

    /// Which bucket it lies in.
    fn bucket(self) -> usize;
    /// How many of the first bits it has in common with another one.
    fn common(self, other: Self) -> u32;
    /// The address before it; not asked of the first one.
    fn before(self) -> Self;
    /// The first address behind the block that begins here; None behind the last one.
    fn behind(self, prefix: u8) -> Option<Self>;
}

impl Address for u32 {
    const BITS: u32 = 32;
    const BUCKETS: usize = 1 << 16;

    fn bucket(self) -> usize {
        (self >> 16) as usize
    }

    fn common(self, other: Self) -> u32 {
        (self ^ other).leading_zeros()
    }

    fn before(self) -> Self {
        self - 1
    }

    fn behind(self, prefix: u8) -> Option<Self> {
        self.checked_add(1u32.checked_shl(32 - u32::from(prefix))?)
    }
}

/// The first address of 2000::/3, all of global unicast; and how far the bits of a bucket's number are shifted.
const GLOBAL: u128 = 0x2000 << 112;
const SHIFT: u32 = 128 - 3 - 16;

impl Address for u128 {
    const BITS: u32 = 128;
    const BUCKETS: usize = 2 + (1 << 16);

    fn bucket(self) -> usize {
        match self.checked_sub(GLOBAL) {
            None => 0,
            Some(offset) => 1 + (offset >> SHIFT).min(1 << 16) as usize,
        }
    }

    fn common(self, other: Self) -> u32 {
        (self ^ other).leading_zeros()
    }

    fn before(self) -> Self {
        self - 1
    }

    fn behind(self, prefix: u8) -> Option<Self> {
        self.checked_add(1u128.checked_shl(128 - u32::from(prefix))?)
    }
}

/// What holds from an address on, up to the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<A> {
    /// The first address.
    pub start: A,
    /// What holds.
    pub value: u32,
}

/// A family's addresses cut into runs: the first begins at 0, neighbours differ.
pub struct Ranges<A> {
    runs: Vec<Run<A>>,
    /// For each bucket the first run that begins in it or later; one more for the end.
    index: Vec<u32>,
}

impl<A: Address> Ranges<A> {
    /// From runs in the order of their addresses, the first at 0; those that continue the one before are left out.
    pub fn of(all: impl IntoIterator<Item = Run<A>>) -> Self {
        let mut runs: Vec<Run<A>> = Vec::new();
        for run in all {
            if runs.last().is_none_or(|last| last.value != run.value) {
                runs.push(run);
            }
        }
        runs.shrink_to_fit();
        let mut index = vec![0; A::BUCKETS + 1];
        runs.iter().for_each(|run| index[run.start.bucket() + 1] += 1);
        let mut sum = 0;
        for entry in &mut index {
            sum += *entry;
            *entry = sum;
        }
        Self { runs, index }
    }

    /// What holds at an address, and the prefix length of the largest block around it for which it does.
    pub fn find(&self, address: A) -> (u32, u8) {
        let bucket = address.bucket();
        let (first, end) = (self.index[bucket] as usize, self.index[bucket + 1] as usize);
        let behind = first + self.runs[first..end].partition_point(|run| run.start <= address);
        let run = self.runs[behind - 1]; // the first run begins at 0
        let edge = |other: A| address.common(other) + 1;
        let lower = if run.start == A::default() {
            0
        } else {
            edge(run.start.before())
        };
        let upper = self.runs.get(behind).map_or(0, |next| edge(next.start));
        (run.value, lower.max(upper) as u8)
    }

    /// How many runs there are.
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Never: there is one at least.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

/// The classes of one plan by address, numbered as they were met.
pub struct Places {
    /// Of IPv4.
    pub v4: Ranges<u32>,
    /// Of IPv6.
    pub v6: Ranges<u128>,
    /// Nothing of a client's place was asked: the one class is everybody's.
    pub everybody: bool,
}

/// A plan's classes under the numbers that its sheets know them by.
#[derive(Clone)]
pub struct Plan {
    /// Where clients are.
    pub places: Arc<Places>,
    /// The class of each number in `places`.
    pub classes: Vec<u32>,
}

/// All plans. The widest scopes to tell are prefix lengths.
pub struct Classifier {
    /// In the order of their numbers.
    pub plans: Vec<Plan>,
    /// Of IPv4, of IPv6.
    pub widest: (u8, u8),
}

impl Classify for Classifier {
    fn find(&self, plan: u32, subnet: &Subnet) -> Option<(u32, u8)> {
        let Plan { places, classes } = self.plans.get(plan as usize)?;
        let ((number, block), widest) = match subnet.family {
            4 => (places.v4.find(subnet.address as u32), self.widest.0),
            _ => (places.v6.find(subnet.address), self.widest.1),
        };
        let class = *classes.get(number as usize)?;
        if places.everybody {
            return Some((class, 0));
        }
        let scope = block.max(widest);
        Some((class, if scope == 0 { 0 } else { scope.max(plain(subnet)) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs<A: Address>(of: &[(A, u32)]) -> Ranges<A> {
        Ranges::of(of.iter().map(|&(start, value)| Run { start, value }))
    }

    #[test]
    fn a_block_is_the_largest_that_lies_within_the_run() {
        let ranges = runs(&[(0u32, 0), (0x0A00_0000, 1), (0x0A00_0100, 2), (0x0A01_0000, 0)]);
        assert_eq!(ranges.find(0), (0, 5));
        assert_eq!(ranges.find(0x0A00_0000), (1, 24));
        assert_eq!(ranges.find(0x0A00_00FF), (1, 24));
        assert_eq!(ranges.find(0x0A00_0100), (2, 24));
        assert_eq!(ranges.find(0x0A00_8000), (2, 17));
        assert_eq!(ranges.find(0x0A00_FFFF), (2, 17));
        assert_eq!(ranges.find(0x0A01_0000), (0, 16));
        assert_eq!(ranges.find(u32::MAX), (0, 1));
    }

    #[test]
    fn neighbours_of_one_class_are_one_run_and_everything_may_be_one() {
        assert_eq!(runs(&[(0u32, 7), (5, 7), (9, 7)]).find(6), (7, 0));
        assert_eq!(runs(&[(0u128, 7), (5, 7), (9, 7)]).len(), 1);
    }

    #[test]
    fn every_bucket_leads_to_its_runs() {
        let starts = [
            0,
            1,
            GLOBAL - 1,
            GLOBAL,
            GLOBAL + (5 << SHIFT),
            GLOBAL << 1,
            u128::MAX,
        ];
        let of: Vec<_> = starts
            .iter()
            .zip(0..)
            .map(|(&start, value)| (start, value))
            .collect();
        let ranges = runs(&of);
        for &(start, value) in &of {
            assert_eq!(ranges.find(start).0, value, "{start:x}");
            assert_eq!(
                ranges.find(start.saturating_sub(1)).0,
                value.saturating_sub(1),
                "{start:x}"
            );
        }
    }
}
