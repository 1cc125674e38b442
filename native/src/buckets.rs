//! The buckets of response rate limiting, one table for all threads, without locks.
//!
//! A bucket is one integer, `due`: when it is full again (`geodns/core/limit.py` says how that limits a
//! rate). It lies beside the block of addresses that it belongs to, in one of the places of the set that a
//! keyed hash leads to. A full bucket need not be kept, so any whose `due` has passed may become another
//! block's as it is: nothing has to be written but the block. Only where all buckets of a set are in use is one
//! lost, the one that is full soonest: counted as displaced.
//!
//! Threads book in the same bucket by compare-exchange, so the rate is that of all of them together. Where one
//! takes a place over while another books in it, one token may be booked for the wrong block.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const SECOND: u64 = 1_000_000_000;
const WAYS: usize = 16;

#[derive(Default)]
#[repr(align(64))]
struct Set {
    blocks: [AtomicU64; WAYS],
    due: [AtomicU64; WAYS],
}

/// The buckets of about `blocks` blocks of addresses (/24, /56), each of as many tokens as a second brings.
pub struct Buckets {
    interval: u64,
    room: u64,
    keys: RandomState,
    sets: Box<[Set]>,
}

/// What became of a reply that was to be booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Booked {
    /// The block has had its share, and nothing was booked.
    pub over: bool,
    /// Another block's bucket was lost for it.
    pub displaced: bool,
}

impl Buckets {
    /// `responses` a second for each block, at least 1.
    pub fn new(responses: u32, blocks: usize) -> Self {
        let responses = u64::from(responses.max(1));
        let interval = SECOND.div_ceil(responses);
        Self {
            interval,
            room: interval * responses - interval,
            keys: RandomState::new(),
            sets: (0..blocks.div_ceil(WAYS).max(1))
                .map(|_| Set::default())
                .collect(),
        }
    }

    /// Book one more reply to a client; `now`: monotonic nanoseconds.
    pub fn book(&self, client: IpAddr, now: u64) -> Booked {
        let block = block_of(client);
        let hash = u128::from(self.keys.hash_one(block));
        let set = &self.sets[((hash * self.sets.len() as u128) >> 64) as usize];
        let (way, displaced) = set.find(block, now);
        Booked {
            over: !self.take(&set.due[way], now),
            displaced,
        }
    }

    /// Blocks whose buckets are not full.
    pub fn watched(&self, now: u64) -> usize {
        self.sets
            .iter()
            .flat_map(|set| &set.due)
            .filter(|due| due.load(Relaxed) > now)
            .count()
    }

    /// Take a token; false where there is none. It is tried anew at most as often as others take one meanwhile.
    fn take(&self, bucket: &AtomicU64, now: u64) -> bool {
        let taken = bucket.fetch_update(Relaxed, Relaxed, |due| {
            let from = due.max(now);
            (from - now <= self.room).then_some(from + self.interval)
        });
        taken.is_ok()
    }
}

impl Set {
    /// The place of a block's bucket, and whether another block lost one that was in use for it.
    fn find(&self, block: u64, now: u64) -> (usize, bool) {
        let holds = |way: &usize| self.blocks[*way].load(Relaxed) == block;
        let mut way = 0;
        for _ in 0..WAYS {
            if let Some(found) = (0..WAYS).find(holds) {
                return (found, false);
            }
            way = self.soonest(now);
            let (others, due) = (self.blocks[way].load(Relaxed), self.due[way].load(Relaxed));
            if self.blocks[way]
                .compare_exchange(others, block, Relaxed, Relaxed)
                .is_ok()
            {
                let displaced = due > now;
                if displaced {
                    self.due[way].store(now, Relaxed);
                }
                return (way, displaced);
            }
        }
        (way, false) // others were quicker each time: this one reply is booked for whoever has the place
    }

    /// The first bucket that is full, else the one that is full soonest.
    fn soonest(&self, now: u64) -> usize {
        let due = |way: &usize| self.due[*way].load(Relaxed).max(now);
        (0..WAYS).min_by_key(due).unwrap_or(0)
    }
}

/// The /24 or /56 of an address, as a number that is no other block's and not 0, which is nobody's.
fn block_of(client: IpAddr) -> u64 {
    match client {
        IpAddr::V4(address) => 1 << 56 | u64::from(address.to_bits() >> 8),
        IpAddr::V6(address) => 1 << 57 | (address.to_bits() >> 72) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::thread;

    const START: u64 = 7 * SECOND;

    fn client(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn passed(buckets: &Buckets, now: u64, times: usize) -> usize {
        (0..times)
            .filter(|_| !buckets.book(client("192.0.2.1"), now).over)
            .count()
    }

    #[test]
    fn a_burst_is_as_large_as_what_a_second_brings() {
        let buckets = Buckets::new(50, 1000);
        assert_eq!(passed(&buckets, START, 80), 50);
        assert_eq!(passed(&buckets, START + SECOND / 10, 80), 5);
        assert_eq!(passed(&buckets, START + 20 * SECOND, 80), 50);
        assert_eq!(buckets.watched(START + 20 * SECOND), 1);
        assert_eq!(buckets.watched(START + 22 * SECOND), 0);
    }

    #[test]
    fn a_block_is_a_slash_24_or_56() {
        let block = |text| block_of(client(text));
        assert_eq!(block("192.0.2.1"), block("192.0.2.255"));
        assert_ne!(block("192.0.2.1"), block("192.0.3.1"));
        assert_eq!(block("2001:db8:1:aa01::1"), block("2001:db8:1:aaff:9:8:7:6"));
        assert_ne!(block("2001:db8:1:aa01::1"), block("2001:db8:1:ab00::1"));
        assert_ne!(block("::"), block("0.0.0.0"));
        assert!(
            block("::") != 0 && block("0.0.0.0") != 0,
            "which says that a place is nobody's"
        );
    }

    #[test]
    fn threads_share_one_rate() {
        let buckets = Arc::new(Buckets::new(1000, 1000));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let buckets = buckets.clone();
                thread::spawn(move || passed(&buckets, START, 1000))
            })
            .collect();
        assert_eq!(
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum::<usize>(),
            1000
        );
    }

    #[test]
    fn a_bucket_in_use_is_lost_only_where_its_set_has_no_other() {
        let buckets = Buckets::new(1, WAYS);
        let book = |i: usize, now| buckets.book(Ipv4Addr::new(10, 0, i as u8, 1).into(), now);
        let all = |displaced| Booked {
            over: false,
            displaced,
        };
        for i in 0..WAYS {
            assert_eq!(book(i, START + i as u64), all(false));
        }
        assert_eq!(book(99, START + 50), all(true), "it took the place of the first");
        assert!((1..WAYS).all(|i| book(i, START + 60).over));
        assert_eq!(book(100, START + 3 * SECOND), all(false));
    }

    #[test]
    fn forged_networks_leave_a_limited_one_limited() {
        let buckets = Buckets::new(5, 1000);
        let (mut got, mut displaced) = (0, 0);
        for i in 0..if cfg!(miri) { 1000 } else { 1_000_000 } {
            let now = START + u64::from(i) * 1000; // a million queries a second
            displaced += u32::from(
                buckets
                    .book(Ipv4Addr::from(10 << 24 | i << 8).into(), now)
                    .displaced,
            );
            if i % 100 == 0 {
                got += passed(&buckets, now, 1);
            }
        }
        assert_eq!(
            got,
            if cfg!(miri) { 5 } else { 5 + 5 - 1 },
            "its bucket is the one that is full last"
        );
        assert!(displaced > 0 || cfg!(miri));
    }
}
