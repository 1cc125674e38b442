//! The table as `geodns/core/table.py` lays it out, checked once when it is taken over.
//!
//! Whatever is wrong with it is an error then, so that no packet can meet an offset that leads nowhere.

use std::sync::Arc;

use crate::names::Names;
use crate::wire::{flag, holds, name_end, record, rtype, word};

/// The bits of `a_flags`, as in `geodns.core.table`.
pub const FLAG_DNAME: u16 = 0x4000;
/// The zone leaves Client Subnet out of its answers.
pub const FLAG_NO_SUBNET: u16 = 0x8000;

/// How a member is picked, as in `geodns.core.table`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Pick {
    Fixed,
    Weighted,
    Turns,
    Sticky,
}

/// What an extended error may say of an answer (`table.STATES`).
pub const STATES: [&str; 3] = [
    "",
    "fail open: no endpoint is known to be up",
    "paused: every region for this client is",
];
/// Slots of a sticky answer set.
pub const SLOTS: usize = 4096;

/// A table that contradicts itself: what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsound(pub String);

/// `Err(Unsound)` with the message unless `holds`.
pub fn ensure(holds: bool, what: &str) -> Result<(), Unsound> {
    if holds {
        Ok(())
    } else {
        Err(Unsound(what.to_owned()))
    }
}

/// One answer (`a_*`). Offsets are into `Names::bodies`.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Row {
    pub body: u32,
    pub extra: u32,
    pub end: u32,
    pub sheet: i32,
    pub slot: u32,
    pub flags: u16,
    pub an: u16,
    pub ns: u16,
    pub ar: u16,
    pub more: u16,
}

/// More records than a message has room for. A row's and a set's together, and an OPT, are fewer than 65536.
const MOST: usize = 0xFF00;
const MOST_STEERED: usize = 64;

impl Row {
    /// Whether it holds the records that it counts, and says nothing else in the header than AA and an RCODE.
    pub fn sound(&self, bodies: &[u8]) -> bool {
        let (Some(lean), Some(optional)) = (
            bodies.get(self.body as usize..self.extra as usize),
            bodies.get(self.extra as usize..self.end as usize),
        ) else {
            return false;
        };
        let [an, ns, ar, more] = [self.an, self.ns, self.ar, self.more].map(usize::from);
        let needed = an + ns + ar;
        let alone = needed == an && more == 0;
        let counted = if self.flags & FLAG_DNAME != 0 {
            an == 1 && alone && self.sheet < 0 && leads(lean)
        } else if self.sheet >= 0 {
            an <= MOST_STEERED && alone
        } else {
            needed + more <= MOST
        };
        counted
            && (-1..i32::MAX).contains(&self.sheet)
            && self.flags & !(FLAG_DNAME | FLAG_NO_SUBNET | flag::AA | 15) == 0
            && holds(lean, needed)
            && holds(optional, more)
    }
}

/// Whether a body begins with a DNAME record, its owner written out, that leads to a name.
fn leads(body: &[u8]) -> bool {
    let target = name_end(body, 0).filter(|&at| word(body, at) == rtype::DNAME);
    target.is_some_and(|at| name_end(body, at + 10) == Some(body.len()))
}

/// The possible answers of one class: see `geodns.core.table.AnswerSet`.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct AnswerSet {
    pub pick: Pick,
    pub count: usize,
    pub members: usize,
    pub rrs: Vec<u8>,
    pub at: Vec<u32>,
    pub weights: Vec<u32>,
    pub order: Vec<u16>,
    pub ttl: u32,
    pub ttl_min: u32,
    pub ttl_at: usize,
    pub change_at: u64,
    pub slot: u32,
    pub state: usize,
}

impl AnswerSet {
    /// The set, if all its parts fit together.
    pub fn sound(self) -> Result<Self, Unsound> {
        let (n, count) = (self.members, self.count);
        ensure(self.state < STATES.len(), "a set's state is none")?;
        if n == 0 {
            return Ok(self);
        }
        ensure(n <= MOST, "a set has more members than a message can hold")?;
        ensure(count >= 1 && count <= n, "a set answers with more than it has")?;
        let listed = self.at.len() == 2 * n + 1 && self.at[0] == 0;
        let ends = listed && self.at[2 * n] as usize == self.rrs.len();
        ensure(ends, "a set's records are elsewhere")?;
        let one = |w: &[u32]| {
            let (start, end) = (w[0] as usize, w[1] as usize);
            record(&self.rrs, start)
                .is_some_and(|(found, owner)| found == end && owner + 4 - start == self.ttl_at)
        };
        ensure(self.at.windows(2).all(one), "a set's records are none")?;
        let total = self.weights.last().copied().unwrap_or(0);
        let weighed = self.weights.windows(2).all(|w| w[0] < w[1]) && self.weights.first() > Some(&0);
        ensure(self.weights.len() == n && weighed, "a set's weights do not rise")?;
        ensure(
            self.order.iter().all(|&start| (start as usize) < n),
            "a set's order leads nowhere",
        )?;
        let wanted = match self.pick {
            Pick::Fixed => true,
            Pick::Weighted => self.order.is_empty() || self.order.len() == total as usize,
            Pick::Turns => !self.order.is_empty(),
            Pick::Sticky => self.order.len() == SLOTS,
        };
        ensure(wanted, "a set's order is not as long as its pick wants")?;
        Ok(self)
    }

    /// The records of an answer that starts its circle at a member.
    pub fn records(&self, start: usize) -> &[u8] {
        &self.rrs[self.at[start] as usize..self.at[start + self.count] as usize]
    }

    /// The TTL at a moment: lowered to when the answer may change (Unix seconds), not under the least.
    pub fn ttl_at_time(&self, now: u64) -> Option<u32> {
        let soon = self.change_at != 0 && now + u64::from(self.ttl) > self.change_at;
        let left = self.change_at.saturating_sub(now).min(u32::MAX.into()) as u32;
        soon.then(|| left.max(self.ttl_min))
    }
}

/// The answer sets of one steered RRset by class: see `geodns.core.table.Sheet`.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Sheet {
    pub plan: u32,
    pub sticky: bool,
    pub empty: Vec<u8>,
    pub empty_ttl: u32,
    sets: Vec<Option<Arc<AnswerSet>>>,
    counters: usize,
}

impl Sheet {
    /// A sheet without sets, if all its parts fit together.
    pub fn new(plan: u32, sticky: bool, empty: Vec<u8>, empty_ttl: u32) -> Result<Self, Unsound> {
        ensure(holds(&empty, 1), "a sheet lacks the SOA of what is not there")?;
        Ok(Self {
            plan,
            sticky,
            empty,
            empty_ttl,
            sets: Vec::new(),
            counters: 0,
        })
    }

    /// Add the set of a class.
    pub fn fill(&mut self, class: usize, set: AnswerSet) {
        self.sets.resize(self.sets.len().max(class + 1), None);
        self.counters = self.counters.max(set.slot as usize + 1);
        self.sets[class] = Some(Arc::new(set));
    }

    /// How many counters its sets name.
    pub fn counters(&self) -> usize {
        self.counters
    }

    /// The set of a class, if it was made.
    pub fn set(&self, class: u32) -> Option<&AnswerSet> {
        self.sets.get(class as usize)?.as_deref()
    }
}

/// Everything that is answered from. Immutable; a change makes another one that shares what stayed.
#[derive(Clone)]
pub struct Table {
    /// Names and static answers.
    pub names: Arc<Names>,
    /// The sheets that rows name.
    pub sheets: Vec<Arc<Sheet>>,
}
