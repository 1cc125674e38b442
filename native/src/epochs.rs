//! When nobody uses a table any more that was swapped out: generations that threads work with.
//!
//! A thread enters before it looks which table there is, and leaves when it has used it. Who swaps a table
//! advances the generation after the swap, then waits until no thread is left in an earlier one. Both write
//! their own before they read the other's, each with a full fence between, so one of them sees the other:
//! either the thread's generation is seen and waited for, or the thread sees the new table. Threads take no
//! lock for it.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

const OUTSIDE: u64 = 0;
const LOOK: Duration = Duration::from_micros(50); // a batch takes about as long

/// The generations of all threads that may use a table.
#[derive(Default)]
pub struct Epochs {
    advanced: AtomicU64,
    seats: Mutex<Vec<Arc<CachePadded<AtomicU64>>>>,
}

/// One thread's place among them, given back when it is dropped.
pub struct Seat {
    epochs: Arc<Epochs>,
    place: Arc<CachePadded<AtomicU64>>,
}

impl Epochs {
    /// A place for one more thread.
    pub fn seat(self: &Arc<Self>) -> Seat {
        let place = Arc::new(CachePadded::new(AtomicU64::new(OUTSIDE)));
        self.seats().push(place.clone());
        Seat {
            epochs: self.clone(),
            place,
        }
    }

    /// Begin a generation; called after a table was swapped in. Its number is what to wait with.
    pub fn advance(&self) -> u64 {
        self.advanced.fetch_add(1, Ordering::SeqCst) + 2
    }

    /// Wait until no thread works with a table from before `generation`. False: some did when time was over.
    ///
    /// What such threads had counted is seen by the caller from then on.
    pub fn wait_until_left(&self, generation: u64, timeout: Duration) -> bool {
        let began = Instant::now();
        fence(Ordering::SeqCst);
        let places = self.seats().clone();
        for place in places {
            while (OUTSIDE + 1..generation).contains(&place.load(Ordering::Acquire)) {
                if began.elapsed() >= timeout {
                    return false;
                }
                sleep(LOOK);
            }
        }
        true
    }

    fn seats(&self) -> MutexGuard<'_, Vec<Arc<CachePadded<AtomicU64>>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// From now on a table may be used: look for it after this.
    #[inline]
    pub fn enter(&self) {
        let generation = self.epochs.advanced.load(Ordering::Acquire) + 1;
        self.place.store(generation, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// No table is used any more.
    #[inline]
    pub fn leave(&self) {
        self.place.store(OUTSIDE, Ordering::Release);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
        self.epochs
            .seats()
            .retain(|place| !Arc::ptr_eq(place, &self.place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize};
    use std::thread;

    const LONG: Duration = Duration::from_secs(10);
    const SHORT: Duration = Duration::from_millis(5);

    #[test]
    fn who_is_in_an_earlier_generation_is_waited_for() {
        let epochs = Arc::new(Epochs::default());
        let seat = epochs.seat();
        seat.enter();
        let generation = epochs.advance();
        assert!(!epochs.wait_until_left(generation, SHORT));
        seat.leave();
        assert!(epochs.wait_until_left(generation, SHORT));
    }

    #[test]
    fn who_came_after_the_swap_is_not() {
        let epochs = Arc::new(Epochs::default());
        let seat = epochs.seat();
        let generation = epochs.advance();
        seat.enter();
        assert!(epochs.wait_until_left(generation, SHORT));
        assert!(!epochs.wait_until_left(epochs.advance(), SHORT));
    }

    #[test]
    fn who_is_gone_is_not() {
        let epochs = Arc::new(Epochs::default());
        let seat = epochs.seat();
        seat.enter();
        let generation = epochs.advance();
        drop(seat);
        assert!(epochs.wait_until_left(generation, SHORT));
    }

    /// A table is "used" by counting in it; after the wait its count may never rise again.
    #[test]
    fn what_was_left_is_used_by_nobody() {
        const TABLES: usize = if cfg!(miri) { 20 } else { 500 };
        let epochs = Arc::new(Epochs::default());
        let counts: Arc<Vec<AtomicU64>> = Arc::new((0..TABLES).map(|_| AtomicU64::new(0)).collect());
        let (current, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let (seat, counts, current, over) =
                    (epochs.seat(), counts.clone(), current.clone(), over.clone());
                thread::spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        seat.enter();
                        let table = current.load(Ordering::Acquire);
                        for _ in 0..20 {
                            counts[table].fetch_add(1, Ordering::Relaxed);
                        }
                        seat.leave();
                    }
                })
            })
            .collect();
        let mut finals = Vec::new();
        for table in 1..TABLES {
            while counts[table - 1].load(Ordering::Relaxed) == 0 {
                thread::yield_now();
            }
            current.store(table, Ordering::Release);
            assert!(epochs.wait_until_left(epochs.advance(), LONG));
            finals.push(counts[table - 1].load(Ordering::Relaxed));
        }
        over.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().unwrap();
        }
        let now: Vec<u64> = counts[..TABLES - 1]
            .iter()
            .map(|c| c.load(Ordering::Relaxed))
            .collect();
        assert_eq!(finals, now);
    }
}
