//! What threads answer from, and what they count: one writer swaps, any number of readers never wait.

use std::array;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::counts::{CAUSES, Cause, Counts, STATES, State};
use crate::epochs::Epochs;
use crate::handler::{Answer, Handler, Reply};
use crate::picks::{draw, mix};
use crate::place::Classifier;
use crate::reception::knows;
use crate::replay::{Arrival, Outcome, Replay};
use crate::table::Table;
use crate::terms::Terms;

/// How long a swap waits for threads to be done with what was before: they take a fraction of a millisecond.
const LEAVE: Duration = Duration::from_secs(1);
const CHUNK: usize = 1024;

/// Everything that a packet is answered from. Immutable; a change is another one that shares what stayed.
#[derive(Clone)]
pub struct Content {
    /// Names, static answers, sheets.
    pub table: Table,
    /// What was agreed with clients.
    pub terms: Arc<Terms>,
    /// Who knows classes; None: Python does.
    pub places: Option<Arc<Classifier>>,
    /// The answers' counters, of each thread its own.
    tallies: Arc<[Tally]>,
}

/// Counters by slot. They lie in pieces, so that a longer tally shares those of the one that it replaces.
#[derive(Clone, Default)]
struct Tally {
    chunks: Vec<Arc<[AtomicU64; CHUNK]>>,
}

impl Tally {
    fn reach(&mut self, slots: usize) {
        let chunks = slots.div_ceil(CHUNK).max(self.chunks.len());
        self.chunks
            .resize_with(chunks, || Arc::new(array::from_fn(|_| AtomicU64::new(0))));
    }

    /// Add one, as the only writer; how many it were.
    fn take(&self, slot: usize) -> u64 {
        self.chunks
            .get(slot / CHUNK)
            .map_or(0, |chunk| add(&chunk[slot % CHUNK]))
    }

    fn add_to(&self, sums: &mut Vec<u64>) {
        sums.resize(sums.len().max(CHUNK * self.chunks.len()), 0);
        let counters = self.chunks.iter().flat_map(|chunk| chunk.iter());
        sums.iter_mut()
            .zip(counters)
            .for_each(|(sum, counter)| *sum += counter.load(Relaxed));
    }
}

/// Add one to a counter of which this thread is the only writer; how many it were.
fn add(counter: &AtomicU64) -> u64 {
    let before = counter.load(Relaxed);
    counter.store(before + 1, Relaxed);
    before
}

/// What a thread counts beside the answers.
#[derive(Default)]
struct Beside {
    causes: [AtomicU64; CAUSES.len()],
    cookies: [AtomicU64; STATES.len()],
}

/// Counts that are read: of each only what came since it was read last.
#[derive(Default)]
struct Read {
    tally: Vec<u64>,
    causes: [u64; CAUSES.len()],
    cookies: [u64; STATES.len()],
}

/// What was counted since it was last asked: by slot, by cause, by the state of a cookie.
#[derive(Default)]
#[allow(missing_docs)]
pub struct Counted {
    pub answers: Vec<(usize, u64)>,
    pub aside: Vec<(&'static str, u64)>,
    pub cookies: Vec<(&'static str, u64)>,
}

/// The native lane: its content, the counters of its threads, and who is still in what was before.
pub struct Lane {
    content: ArcSwap<Content>,
    beside: Vec<Beside>,
    epochs: Arc<Epochs>,
    read: Mutex<Read>,
}

impl Lane {
    /// A lane for so many threads, with nothing to tell yet.
    pub fn new(table: Table, threads: usize) -> Self {
        let (terms, tallies) = (Arc::default(), vec![Tally::default(); threads].into());
        let content = Content {
            table,
            terms,
            places: None,
            tallies,
        };
        Self {
            content: ArcSwap::from_pointee(content),
            beside: (0..threads).map(|_| Beside::default()).collect(),
            epochs: Arc::default(),
            read: Mutex::default(),
        }
    }

    /// What is answered from now.
    pub fn content(&self) -> Arc<Content> {
        self.content.load_full()
    }

    /// Swap in a change of what is answered from. Its counters go on; there are some for all its sheets.
    pub fn change(&self, change: impl FnOnce(&mut Content)) {
        let mut content = Content::clone(&self.content.load());
        change(&mut content);
        content.reach();
        self.content.store(Arc::new(content));
    }

    /// The same, and when this returns no thread answers from what was before.
    pub fn change_over(&self, change: impl FnOnce(&mut Content)) {
        self.change(change);
        self.epochs.wait_until_left(self.epochs.advance(), LEAVE);
    }

    /// Swap in another table with counters of its own; what was counted of the one before, all of it.
    pub fn replace(&self, table: Table, places: Option<Arc<Classifier>>) -> Counted {
        let before = self.content.load_full();
        let mut content = Content {
            table,
            places,
            ..Content::clone(&before)
        };
        content.tallies = vec![Tally::default(); before.tallies.len()].into();
        content.reach();
        self.content.store(Arc::new(content));
        self.epochs.wait_until_left(self.epochs.advance(), LEAVE);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = self.since(&before, &mut read);
        read.tally.clear();
        counted
    }

    /// What was counted since this was last asked.
    pub fn counted(&self) -> Counted {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        self.since(&self.content.load(), &mut read)
    }

    fn since(&self, content: &Content, read: &mut Read) -> Counted {
        let mut sums = Vec::new();
        content.tallies.iter().for_each(|tally| tally.add_to(&mut sums));
        read.tally.resize(sums.len(), 0);
        let answers = sums
            .iter()
            .zip(&mut read.tally)
            .map(|(sum, read)| sum - std::mem::replace(read, *sum));
        let answers = answers.enumerate().filter(|(_, count)| *count > 0).collect();
        let sum = |of: &dyn Fn(&Beside) -> &AtomicU64| self.beside.iter().map(|b| of(b).load(Relaxed)).sum();
        let causes = (0..CAUSES.len()).map(|i| sum(&|beside: &Beside| &beside.causes[i]));
        let cookies = (0..STATES.len()).map(|i| sum(&|beside: &Beside| &beside.cookies[i]));
        Counted {
            answers,
            aside: news(&CAUSES, causes, &mut read.causes),
            cookies: news(&STATES, cookies, &mut read.cookies),
        }
    }

    /// How many threads it has counters for.
    pub fn threads(&self) -> usize {
        self.beside.len()
    }

    /// Where threads say which generation of the table they use.
    pub fn epochs(&self) -> &Arc<Epochs> {
        &self.epochs
    }

    /// Who answers in a thread; the log shows one packet in `shown` of those, by chance (0: none).
    pub fn worker(self: &Arc<Self>, thread: usize, shown: u32) -> Worker {
        Worker {
            lane: self.clone(),
            content: None,
            thread,
            now: 0,
            shown,
            chance: RandomState::new().build_hasher().finish(),
            reply: Vec::new(),
        }
    }
}

/// What sums have grown by, under their names.
fn news(
    names: &[&'static str],
    sums: impl Iterator<Item = u64>,
    read: &mut [u64],
) -> Vec<(&'static str, u64)> {
    let grown = sums
        .zip(read)
        .map(|(sum, read)| sum - std::mem::replace(read, sum));
    names
        .iter()
        .copied()
        .zip(grown)
        .filter(|(_, count)| *count > 0)
        .collect()
}

impl Content {
    /// See to it that there are counters for all sheets.
    fn reach(&mut self) {
        let of_sets = self.table.sheets.iter().map(|sheet| sheet.counters());
        let slots = of_sets.max().unwrap_or(0).max(self.table.names.counters());
        if self
            .tallies
            .iter()
            .any(|tally| tally.chunks.len() * CHUNK < slots)
        {
            let mut tallies = self.tallies.to_vec();
            tallies.iter_mut().for_each(|tally| tally.reach(slots));
            self.tallies = tallies.into();
        }
    }
}

/// Answers the packets of one thread.
pub struct Worker {
    lane: Arc<Lane>,
    content: Option<Arc<Content>>,
    thread: usize,
    now: u64,
    shown: u32,
    chance: u64,
    reply: Vec<u8>,
}

impl Worker {
    fn chance(&mut self) -> u32 {
        self.chance = self.chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
        (mix(self.chance) >> 32) as u32
    }
}

impl Handler for Worker {
    fn batch(&mut self, now: u64) {
        self.now = now;
        self.content = Some(self.lane.content());
    }

    fn answer(&mut self, packet: &[u8], client: &SocketAddr, out: &mut Reply) -> Answer {
        let chance = self.chance();
        let Some(content) = &self.content else {
            return Answer::Pass;
        };
        let Some(places) = &content.places else {
            return Answer::Pass;
        };
        let replay = Replay {
            table: &content.table,
            terms: &content.terms,
            places: &**places,
        };
        let mut counts = Counters {
            tally: &content.tallies[self.thread],
            beside: &self.lane.beside[self.thread],
        };
        let (client, limit) = (client.ip(), content.terms.payload);
        let arrival = Arrival {
            packet,
            client,
            limit,
            chance,
            now: self.now,
        };
        match replay.answer(&arrival, &mut counts, &mut self.reply) {
            Outcome::Reply => {
                out.put(&self.reply);
                Answer::Reply
            }
            Outcome::Silence => Answer::Silence,
            Outcome::Pass | Outcome::Missing { .. } => Answer::Pass,
        }
    }

    fn trusts(&mut self, packet: &[u8], client: &SocketAddr) -> bool {
        let content = self.content.as_ref();
        content.is_some_and(|content| knows(&content.terms, packet, client.ip(), self.now))
    }

    fn shows(&mut self) -> bool {
        self.shown != 0 && draw(self.chance(), self.shown) == 0
    }

    fn idle(&mut self) {
        self.content = None;
    }
}

/// The counters of a thread.
struct Counters<'a> {
    tally: &'a Tally,
    beside: &'a Beside,
}

impl Counts for Counters<'_> {
    fn take(&mut self, slot: u32) -> u64 {
        self.tally.take(slot as usize)
    }

    fn aside(&mut self, cause: Cause) {
        add(&self.beside.causes[cause as usize]);
    }

    fn cookie(&mut self, state: State) {
        add(&self.beside.cookies[state as usize]);
    }
}
