//! The table as `geodns/core/table.py` lays it out, checked once when it is taken over.
//!
//! Whatever is wrong with it is an error then, so that no packet can meet an offset that leads nowhere.

use std::sync::Arc;

use crate::names::Names;

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
        let rising = self.at.windows(2).all(|w| w[0] + self.ttl_at as u32 + 6 <= w[1]);
        ensure(count >= 1 && count <= n, "a set answers with more than it has")?;
        ensure(
            self.at.len() == 2 * n + 1 && self.at[0] == 0 && rising,
            "a set's records overlap",
        )?;
        ensure(
            self.at[2 * n] as usize == self.rrs.len(),
            "a set's records end elsewhere",
        )?;
        let total = self.weights.last().copied().unwrap_or(0);
        let weighed = self.weights.windows(2).all(|w| w[0] < w[1]) && self.weights[0] > 0;
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
    /// A sheet without sets.
    pub fn new(plan: u32, sticky: bool, empty: Vec<u8>, empty_ttl: u32) -> Self {
        Self {
            plan,
            sticky,
            empty,
            empty_ttl,
            sets: Vec::new(),
            counters: 0,
        }
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
