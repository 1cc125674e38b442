//! Response rate limiting (`geodns/core/limit.py` is the reference, `docs/adr/0016-rates-over-threads.md` why so).
//!
//! The buckets are one table for all threads; turn and counters are each thread's own.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_utils::CachePadded;

use crate::buckets::Buckets;
use crate::handler::{Answer, Handler, Reply};
use crate::networks::Networks;
use crate::wire::{HEADER, name_end};

const OPT: usize = 11; // octets of an OPT record without options
const SECOND: u64 = 1_000_000_000;

/// What becomes of queries over the limit, as metrics name it (`OUTCOMES` in `geodns/core/limit.py`).
pub const OUTCOMES: [&str; 5] = ["dropped", "slipped", "dry run", "cookie", "exempt"];

/// An index of `OUTCOMES`.
#[derive(Clone, Copy)]
enum Outcome {
    Dropped,
    Slipped,
    DryRun,
    Cookie,
    Exempt,
}

/// As in `geodns.config.schema.settings.RateSettings` and `LimitSettings`.
pub struct Settings {
    /// Replies a second for each block of addresses.
    pub responses: u32,
    /// Every how manieth query over the limit is answered with TC; 0: none.
    pub slip: u64,
    /// Networks that are not limited.
    pub exempt: Networks,
    /// Only count.
    pub dry_run: bool,
    /// Blocks whose rate is watched.
    pub blocks: usize,
    /// Octets that OPT records tell.
    pub payload: u16,
}

/// A limit for all threads, and what they counted.
pub struct Rate {
    settings: Settings,
    buckets: Buckets,
    began: Instant,
    tallies: Mutex<Vec<Arc<CachePadded<Tally>>>>, // taken when a thread begins, and by who reads
}

/// One thread's counters, written by it alone.
#[derive(Default)]
struct Tally {
    outcomes: [AtomicU64; OUTCOMES.len()],
    displaced: AtomicU64,
}

/// The limit as one thread uses it.
pub struct Limiter {
    rate: Arc<Rate>,
    tally: Arc<CachePadded<Tally>>,
    turn: u64, // of the queries that may be answered with TC
}

impl Rate {
    /// A limit by these settings.
    pub fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            buckets: Buckets::new(settings.responses, settings.blocks),
            settings,
            began: Instant::now(),
            tallies: Mutex::default(),
        })
    }

    /// The limit for one more thread.
    pub fn limiter(self: &Arc<Self>) -> Limiter {
        let tally = Arc::<CachePadded<Tally>>::default();
        self.tallies().push(tally.clone());
        Limiter {
            rate: self.clone(),
            tally,
            turn: 0,
        }
    }

    /// Queries over the limit since the start, in the order of `OUTCOMES`.
    pub fn outcomes(&self) -> [u64; OUTCOMES.len()] {
        let tallies = self.tallies();
        std::array::from_fn(|i| tallies.iter().map(|tally| tally.outcomes[i].load(Relaxed)).sum())
    }

    /// Buckets that were lost while in use.
    pub fn displaced(&self) -> u64 {
        self.tallies()
            .iter()
            .map(|tally| tally.displaced.load(Relaxed))
            .sum()
    }

    /// Blocks whose buckets are not full.
    pub fn watched(&self, now: u64) -> usize {
        self.buckets.watched(now)
    }

    /// Monotonic nanoseconds; the first second is over, so that buckets begin full.
    pub fn now(&self) -> u64 {
        SECOND + u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX / 2)
    }

    fn tallies(&self) -> MutexGuard<'_, Vec<Arc<CachePadded<Tally>>>> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Limiter {
    /// Whether a client's block has had its share; if not, one more reply is booked. `now`: see `Rate::now`.
    #[inline]
    pub fn over(&mut self, client: IpAddr, now: u64) -> bool {
        let booked = self.rate.buckets.book(client, now);
        if booked.displaced {
            count(&self.tally.displaced);
        }
        booked.over
    }

    /// Whether a query over the limit is answered all the same; `trusted`: its source is not forged.
    pub fn spares(&mut self, client: IpAddr, trusted: impl FnOnce() -> bool) -> bool {
        let outcome = if self.rate.settings.exempt.hold(client) {
            Outcome::Exempt
        } else if trusted() {
            Outcome::Cookie
        } else if self.rate.settings.dry_run {
            Outcome::DryRun
        } else {
            return false;
        };
        self.count(outcome);
        true
    }

    /// What a query over the limit gets: the word to come by TCP (TC), or silence.
    pub fn turn_away(&mut self, packet: &[u8], out: &mut Reply) -> Answer {
        let Settings { slip, payload, .. } = &self.rate.settings;
        if *slip > 0 && packet.len() >= HEADER && packet[2] & 0xF8 == 0 {
            self.turn += 1;
            if self.turn % *slip == 0 && truncated(packet, *payload, out) {
                self.count(Outcome::Slipped);
                return Answer::Reply;
            }
        }
        self.count(Outcome::Dropped);
        Answer::Silence
    }

    fn count(&self, outcome: Outcome) {
        count(&self.tally.outcomes[outcome as usize]);
    }
}

/// A handler behind a limit.
pub struct Limited<H> {
    handler: H,
    limiter: Limiter,
    now: u64,
}

impl<H> Limited<H> {
    /// The handler, asked for what is not over the limit.
    pub fn new(handler: H, limiter: Limiter) -> Self {
        Self {
            handler,
            limiter,
            now: 0,
        }
    }
}

impl<H: Handler> Handler for Limited<H> {
    fn batch(&mut self, now: u64) {
        self.now = self.limiter.rate.now();
        self.handler.batch(now);
    }

    fn answer(&mut self, packet: &[u8], client: &SocketAddr, out: &mut Reply) -> Answer {
        let (limiter, handler) = (&mut self.limiter, &mut self.handler);
        if limiter.over(client.ip(), self.now)
            && !limiter.spares(client.ip(), || handler.trusts(packet, client))
        {
            return limiter.turn_away(packet, out);
        }
        handler.answer(packet, client, out)
    }

    fn shows(&mut self) -> bool {
        self.handler.shows()
    }

    fn idle(&mut self) {
        self.handler.idle();
    }
}

fn count(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed) + 1, Relaxed);
}

/// Write the header with TC, the question, an OPT record where one follows it (without or with DO).
///
/// False without a question that can be read. Quick, since it is for floods, and no longer than the query.
fn truncated(packet: &[u8], payload: u16, out: &mut Reply) -> bool {
    let Some(end) = name_end(packet, HEADER)
        .map(|end| end + 4)
        .filter(|end| *end <= packet.len())
    else {
        return false;
    };
    if packet[4..6] != [0, 1] {
        return false;
    }
    let opt = packet.len() >= end + OPT && packet[end..end + 3] == [0, 0, 41];
    out.put(&packet[..2]);
    out.put(&[0x82 | packet[2] & 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(opt)]);
    out.put(&packet[HEADER..end]);
    if opt {
        out.put(&[0, 0, 41]);
        out.put_u16(payload);
        out.put(&[0, 0, packet[end + 7] & 0x80, 0, 0, 0]);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\0\0\x01\0\x01";

    /// Answers everything, and trusts who asks with id 7.
    struct Yes;

    impl Handler for Yes {
        fn batch(&mut self, _now: u64) {}

        fn answer(&mut self, _packet: &[u8], _client: &SocketAddr, out: &mut Reply) -> Answer {
            out.put(b"yes");
            Answer::Reply
        }

        fn trusts(&mut self, packet: &[u8], _client: &SocketAddr) -> bool {
            packet.starts_with(b"\0\x07")
        }
    }

    fn limited(change: impl FnOnce(&mut Settings)) -> Limited<Yes> {
        let exempt = Networks::parse(["198.51.100.0/24"]).unwrap();
        let mut settings = Settings {
            responses: 2,
            slip: 1,
            exempt,
            dry_run: false,
            blocks: 100,
            payload: 1232,
        };
        change(&mut settings);
        let mut limited = Limited::new(Yes, Rate::new(settings).limiter());
        limited.batch(0);
        limited
    }

    fn answers(limited: &mut Limited<Yes>, client: &str, packet: &[u8]) -> Vec<Option<Vec<u8>>> {
        let client = SocketAddr::new(client.parse().unwrap(), 53);
        let mut answer = || {
            let mut out = Reply::new();
            (limited.answer(packet, &client, &mut out) == Answer::Reply).then(|| out.to_vec())
        };
        (0..4).map(|_| answer()).collect()
    }

    #[test]
    fn who_is_over_the_limit_is_told_to_come_by_tcp() {
        let (yes, cut) = (
            Some(b"yes".to_vec()),
            Some([&QUERY[..2], b"\x83\0", &QUERY[4..]].concat()),
        );
        let mut handler = limited(|_| ());
        let asked = answers(&mut handler, "192.0.2.1", QUERY);
        assert_eq!(asked, [yes.clone(), yes.clone(), cut.clone(), cut]);
        assert_eq!(answers(&mut handler, "192.0.3.1", QUERY)[..2], [yes.clone(), yes]);
        assert_eq!(handler.limiter.rate.outcomes(), [0, 4, 0, 0, 0]);
    }

    #[test]
    fn what_has_no_question_gets_silence() {
        let mut handler = limited(|_| ());
        assert_eq!(answers(&mut handler, "192.0.2.1", b"")[2..], [None, None]);
        assert_eq!(handler.limiter.rate.outcomes(), [2, 0, 0, 0, 0]);
    }

    #[test]
    fn some_are_spared() {
        let trusted = [b"\0\x07", &QUERY[2..]].concat();
        for (dry_run, client, packet, outcome) in [
            (false, "198.51.100.9", QUERY, [0, 0, 0, 0, 2]),
            (false, "192.0.2.1", &trusted[..], [0, 0, 0, 2, 0]),
            (true, "192.0.2.1", QUERY, [0, 0, 2, 0, 0]),
        ] {
            let mut handler = limited(|settings| settings.dry_run = dry_run);
            assert_eq!(
                answers(&mut handler, client, packet),
                vec![Some(b"yes".to_vec()); 4]
            );
            assert_eq!(handler.limiter.rate.outcomes(), outcome);
        }
    }

    #[test]
    fn threads_share_the_rate_and_what_they_count_is_added() {
        let mut one = limited(|_| ());
        let mut two = Limited::new(Yes, one.limiter.rate.limiter());
        two.batch(0);
        assert_eq!(answers(&mut one, "192.0.2.1", QUERY)[1], Some(b"yes".to_vec()));
        assert_ne!(answers(&mut two, "192.0.2.2", QUERY)[0], Some(b"yes".to_vec()));
        assert_eq!(one.limiter.rate.outcomes(), [0, 6, 0, 0, 0]);
    }
}
