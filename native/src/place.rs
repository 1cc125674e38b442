//! From a client's network to its class in a plan: the databases, lines and own networks compiled to ranges.
//!
//! Neighbouring networks of the same class are one range, so a scope comes out as wide as it honestly can. A
//! look-up reads two neighbouring entries of an index by the first bits of the address, more of them where there
//! are more ranges, and searches the one or two ranges between them.

use std::sync::Arc;

use crate::edns::plain;
use crate::runs::{Address, Runs, TOP};
use crate::subnet::Subnet;

/// Who knows the class of a client in a plan, and the scope for which it holds, in bits of its family.
pub trait Classify {
    /// None where it is not known here, and Python is to be asked.
    fn find(&self, plan: u32, subnet: &Subnet) -> Option<(u32, u8)>;
}

/// The most bits behind the first ones that the index goes by.
const MOST: u32 = 20;

/// A family's runs with an index by the first bits of an address.
pub struct Ranges<A> {
    runs: Runs<A>,
    /// By an address's first bits.
    parts: Vec<Part>,
    /// For each bucket how many runs begin before it; one more for the end.
    index: Vec<u32>,
}

/// Addresses with the same first bits: where their buckets are, and how many bits more tell those apart.
#[derive(Clone, Copy)]
struct Part {
    at: u32,
    bits: u32,
}

impl Part {
    fn bucket<A: Address>(self, address: A) -> usize {
        self.at as usize + address.next(self.bits)
    }
}

impl<A: Address> Ranges<A> {
    /// Of runs, neighbours of which differ.
    pub fn of(runs: Runs<A>) -> Self {
        let mut counts = vec![0usize; 1 << TOP];
        runs.starts().iter().for_each(|start| counts[start.top()] += 1);
        let mut at = 0;
        let mut part = |count: &usize| {
            let bits = count.next_power_of_two().ilog2().min(MOST);
            at += 1 << bits;
            Part {
                at: at - (1 << bits),
                bits,
            }
        };
        let parts: Vec<Part> = counts.iter().map(&mut part).collect();
        let mut index = vec![0; at as usize + 1];
        for start in runs.starts() {
            index[parts[start.top()].bucket(*start) + 1] += 1;
        }
        let mut sum = 0;
        for entry in &mut index {
            sum += *entry;
            *entry = sum;
        }
        Self { runs, parts, index }
    }

    /// What holds at an address, and the prefix length of the largest block around it for which it does.
    pub fn find(&self, address: A) -> (u32, u8) {
        let bucket = self.parts[address.top()].bucket(address);
        let (first, end) = (self.index[bucket] as usize, self.index[bucket + 1] as usize);
        let starts = self.runs.starts();
        let next = first + starts[first..end].partition_point(|start| *start <= address);
        let start = starts[next - 1]; // the first run begins at the first address
        let beyond = |other: A| address.common(other) + 1;
        let before = start.before().map_or(0, beyond);
        let after = starts.get(next).copied().map_or(0, beyond);
        (self.runs.values()[next - 1], before.max(after) as u8)
    }

    /// How many runs there are.
    pub fn count(&self) -> usize {
        self.runs.len()
    }

    /// Octets of memory that this takes.
    pub fn size(&self) -> usize {
        self.runs.size() + size_of_val(&self.parts[..]) + size_of_val(&self.index[..])
    }
}

/// The classes of one plan by address, under numbers of their own.
pub struct Places {
    /// Of IPv4.
    pub v4: Ranges<u32>,
    /// Of IPv6.
    pub v6: Ranges<u128>,
    /// No part of a client's place was asked: the one class is everybody's.
    pub everybody: bool,
}

/// A plan's places, with the numbers that its sheets know the classes by.
pub struct Plan {
    /// Where clients are.
    pub places: Arc<Places>,
    /// The class of each number in `places`.
    pub classes: Vec<u32>,
}

/// From a client to its class in every plan.
pub struct Classifier {
    /// In the order of their numbers; None: Python is to be asked.
    pub plans: Vec<Option<Plan>>,
    /// The shortest scopes to give, in bits: of IPv4, of IPv6.
    pub widest: (u8, u8),
}

impl Classify for Classifier {
    fn find(&self, plan: u32, subnet: &Subnet) -> Option<(u32, u8)> {
        let Plan { places, classes } = self.plans.get(plan as usize)?.as_ref()?;
        let ((number, block), widest) = match subnet.family {
            4 => (places.v4.find(subnet.address as u32), self.widest.0),
            _ => (places.v6.find(subnet.address), self.widest.1),
        };
        let class = *classes.get(number as usize)?;
        if places.everybody {
            return Some((class, 0));
        }
        Some((class, block.max(widest).max(plain(subnet)).max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges<A: Address>(of: &[(A, u32)]) -> Ranges<A> {
        let mut runs = Runs::default();
        of.iter().for_each(|&(start, value)| runs.begin(start, value));
        Ranges::of(runs)
    }

    #[test]
    fn a_block_is_the_largest_that_lies_within_the_run() {
        let found = ranges(&[(0u32, 0), (0x0A00_0000, 1), (0x0A00_0100, 2), (0x0A01_0000, 0)]);
        assert_eq!(found.find(0), (0, 5));
        assert_eq!(found.find(0x0A00_0000), (1, 24));
        assert_eq!(found.find(0x0A00_00FF), (1, 24));
        assert_eq!(found.find(0x0A00_0100), (2, 24));
        assert_eq!(found.find(0x0A00_8000), (2, 17));
        assert_eq!(found.find(0x0A00_FFFF), (2, 17));
        assert_eq!(found.find(0x0A01_0000), (0, 16));
        assert_eq!(found.find(u32::MAX), (0, 1));
    }

    #[test]
    fn everything_may_be_one_block() {
        assert_eq!(ranges(&[(0u32, 7), (5, 7), (9, 7)]).find(6), (7, 0));
        assert_eq!(ranges(&[(0u128, 7)]).find(u128::MAX), (7, 0));
    }

    /// Few runs and many, so that the index is made over few bits and over many.
    #[test]
    fn every_bucket_leads_to_its_runs() {
        let global = 0x2000u128 << 112;
        let few = vec![0, 1, global - 1, global, global + 1, global << 1, u128::MAX];
        let many = (0..3000).map(|i| i * (u128::MAX / 2999)).collect();
        for starts in [few, many] {
            let of: Vec<_> = starts.iter().copied().zip(0..).collect();
            let found = ranges(&of);
            assert_eq!(found.count(), starts.len());
            for &(start, value) in &of {
                assert_eq!(found.find(start).0, value, "{start:x}");
                assert_eq!(
                    found.find(start.saturating_sub(1)).0,
                    value.saturating_sub(1),
                    "{start:x}"
                );
            }
        }
    }

    #[test]
    fn a_scope_is_never_wider_than_allowed_and_keeps_off_embedded_ipv4() {
        let (v4, v6) = (
            ranges(&[(0u32, 0), (0x0A00_0000, 1)]),
            ranges(&[(0u128, 0), (1 << 127, 1)]),
        );
        let mut classifier = Classifier {
            plans: vec![Some(Plan {
                places: Arc::new(Places {
                    v4,
                    v6,
                    everybody: false,
                }),
                classes: vec![5, 6],
            })],
            widest: (20, 0),
        };
        let subnet = |family, address| Subnet {
            family,
            address,
            prefix: 32,
            shift: 0,
        };
        assert_eq!(classifier.find(0, &subnet(4, 0x0B00_0000)), Some((6, 20)));
        assert_eq!(classifier.find(0, &subnet(6, 0x2001_0DB8 << 96)), Some((5, 21)));
        assert_eq!(classifier.find(0, &subnet(6, 0xFE80 << 112)), Some((6, 1)));
        assert_eq!(classifier.find(1, &subnet(4, 0)), None);
        classifier.plans.push(None);
        assert_eq!(classifier.find(1, &subnet(4, 0)), None);
    }
}
