//! The owner names of all zones, and the way of a name through them (RFC 1034 §4.3.2, RFC 4592).
//!
//! With a million names what costs is memory that no cache holds. So a look-up touches two lines of it: a slot
//! of an open hash table (32 bits of the hash, 32 of where the name lies), and the name itself with its *shape*
//! before it. A shape is all that a name is answered with by type; names that are steered alike share one, so
//! the shapes stay in the cache. Both memories lie on huge pages where the system has them.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use memmap2::{Advice, MmapMut};

use crate::table::{Row, Unsound, ensure};
use crate::wire::name_end;

/// What `Names` is made from: the arrays of `geodns.core.table.Names`.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Parts {
    pub wire: Vec<u8>,
    pub name_at: Vec<u32>,
    pub types: Vec<u16>,
    pub types_at: Vec<u32>,
    pub answers: Vec<u32>,
    pub otherwise: Vec<u32>,
    pub below: Vec<i32>,
    pub depth: usize,
    pub rows: Vec<Row>,
    pub bodies: Vec<u8>,
}

/// What answers below a name that no name of its own exists for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Below {
    /// A wildcard's answers.
    Shape(u32),
    /// One answer: NXDOMAIN, a referral, a DNAME.
    Answer(u32),
}

/// What a name is answered with: rows by type, and the one for all other types.
#[derive(Clone, Copy, Debug)]
struct Shape {
    first: u32,
    count: u32,
    otherwise: u32,
    below: Below,
}

/// See the top of the file.
pub struct Names {
    slots: Memory,
    mask: u64,
    arena: Memory,
    shapes: Vec<Shape>,
    by_type: Vec<(u16, u32)>,
    depth: usize,
    rows: Vec<Row>,
    sheets: usize,
    counters: usize,
    bodies: Vec<u8>,
}

const LINE: usize = 64;
/// Octets before a name in the arena: its shape, its length.
const BEFORE: usize = 5;
const MAX_NAME: usize = 255;

impl Names {
    /// The names, if all parts fit together.
    pub fn of(parts: Parts) -> Result<Self, Unsound> {
        sound(&parts)?;
        let count = parts.otherwise.len();
        let (shapes, shape_of, by_type) = shapes(&parts);
        let name = |i: usize| &parts.wire[parts.name_at[i] as usize..parts.name_at[i + 1] as usize];
        let slots = (2 * count).next_power_of_two().max(2);
        let mut found = Self {
            slots: Memory::of(8 * slots),
            mask: slots as u64 - 1,
            arena: Memory::of(arena_size((0..count).map(|i| name(i).len()))),
            shapes,
            by_type,
            depth: parts.depth,
            rows: Vec::new(),
            sheets: 0,
            counters: 0,
            bodies: Vec::new(),
        };
        let mut at = LINE; // 0 is no place: it means an empty slot
        for (i, shape) in shape_of.iter().enumerate() {
            at = placed(at, name(i).len());
            found.put(name(i), *shape, at);
            at += BEFORE + name(i).len();
        }
        found.sheets = parts
            .rows
            .iter()
            .map(|row| (row.sheet + 1) as usize)
            .max()
            .unwrap_or(0);
        found.counters = parts
            .rows
            .iter()
            .map(|row| row.slot as usize + 1)
            .max()
            .unwrap_or(0);
        found.rows = parts.rows;
        found.bodies = parts.bodies;
        Ok(found)
    }

    fn put(&mut self, name: &[u8], shape: u32, at: usize) {
        let record = &mut self.arena.octets_mut()[at..at + BEFORE + name.len()];
        record[..4].copy_from_slice(&shape.to_le_bytes());
        record[4] = name.len() as u8;
        record[BEFORE..].copy_from_slice(name);
        let hash = hash(name);
        let mut slot = hash & self.mask;
        while self.slots.word(slot) != 0 {
            slot = (slot + 1) & self.mask;
        }
        self.slots.set_word(slot, tagged(hash) | at as u64);
    }

    /// The shape of a folded name, if it exists.
    fn shape(&self, name: &[u8]) -> Option<&Shape> {
        let hash = hash(name);
        let (tag, mut slot) = (tagged(hash), hash & self.mask);
        loop {
            let word = self.slots.word(slot);
            if word == 0 {
                return None;
            }
            if word & TAG == tag {
                let record = &self.arena.octets()[(word & !TAG) as usize..];
                if record[4] as usize == name.len() && record.get(BEFORE..BEFORE + name.len()) == Some(name) {
                    let shape = u32::from_le_bytes([record[0], record[1], record[2], record[3]]);
                    return self.shapes.get(shape as usize);
                }
            }
            slot = (slot + 1) & self.mask;
        }
    }

    /// Which row answers a folded name: exact, or from the closest encloser; None outside all zones.
    pub fn find(&self, name: &[u8], qtype: u16) -> Option<u32> {
        match self.shape(name) {
            Some(shape) => Some(self.answer(shape, qtype)),
            None => match self.encloser(name)? {
                Below::Shape(shape) => Some(self.answer(&self.shapes[shape as usize], qtype)),
                Below::Answer(answer) => Some(answer),
            },
        }
    }

    fn answer(&self, shape: &Shape, qtype: u16) -> u32 {
        let (first, count) = (shape.first as usize, shape.count as usize);
        let listed = &self.by_type[first..first + count];
        listed
            .iter()
            .find(|(rtype, _)| *rtype == qtype)
            .map_or(shape.otherwise, |(_, answer)| *answer)
    }

    /// What answers below the closest encloser of a folded name that does not exist.
    fn encloser(&self, name: &[u8]) -> Option<Below> {
        let mut parents = [0u8; MAX_NAME / 2 + 1];
        let (mut at, mut count) = (0, 0);
        while name[at] != 0 {
            at += 1 + name[at] as usize;
            parents[count] = at as u8;
            count += 1;
        }
        let nearest = count.saturating_sub(self.depth + 1);
        let above = parents[nearest..count]
            .iter()
            .find_map(|&start| self.shape(&name[start as usize..]))?;
        Some(above.below)
    }

    /// A row by its number.
    pub fn row(&self, answer: u32) -> &Row {
        &self.rows[answer as usize]
    }

    /// How many sheets rows name.
    pub fn sheets(&self) -> usize {
        self.sheets
    }

    /// How many counters rows name.
    pub fn counters(&self) -> usize {
        self.counters
    }

    /// A row's body without what may be left out, and with it.
    pub fn bodies(&self, row: &Row) -> (&[u8], &[u8]) {
        let body = &self.bodies[row.body as usize..row.end as usize];
        (&body[..(row.extra - row.body) as usize], body)
    }

    /// Octets of memory that this takes.
    pub fn size(&self) -> usize {
        let of_shapes = size_of::<Shape>() * self.shapes.len() + size_of::<(u16, u32)>() * self.by_type.len();
        let of_rows = size_of::<Row>() * self.rows.len() + self.bodies.len();
        self.slots.octets().len() + self.arena.octets().len() + of_shapes + of_rows
    }
}

fn sound(parts: &Parts) -> Result<(), Unsound> {
    let count = parts.otherwise.len();
    let rises = |at: &[u32], end: usize| {
        at.first() == Some(&0)
            && at.windows(2).all(|w| w[0] <= w[1])
            && at.last().is_some_and(|&last| last as usize == end)
    };
    ensure(
        parts.name_at.len() == count + 1 && rises(&parts.name_at, parts.wire.len()),
        "names overlap",
    )?;
    ensure(
        parts.types_at.len() == count + 1 && rises(&parts.types_at, parts.types.len()),
        "types overlap",
    )?;
    ensure(parts.answers.len() == parts.types.len(), "types lack answers")?;
    ensure(parts.below.len() == count, "names lack what is below them")?;
    let named = |w: &[u32]| name_end(&parts.wire[..w[1] as usize], w[0] as usize) == Some(w[1] as usize);
    ensure(parts.name_at.windows(2).all(named), "a name is none")?;
    ensure(parts.depth <= MAX_NAME / 2, "names are deeper than names can be")?;
    let size = parts.wire.len() + count * (BEFORE + LINE);
    ensure(size < u32::MAX as usize, "there are too many names")?;
    let rows = parts.rows.len();
    let answers = parts.answers.iter().chain(&parts.otherwise);
    ensure(
        answers.into_iter().all(|&a| (a as usize) < rows),
        "an answer is no row",
    )?;
    let leads = |&b: &i32| {
        if b < 0 {
            (!b as usize) < rows
        } else {
            (b as usize) < count
        }
    };
    ensure(parts.below.iter().all(leads), "what is below a name is nothing")?;
    let whole = |row: &Row| row.sound(&parts.bodies);
    ensure(
        parts.rows.iter().all(whole),
        "a row holds other records than it counts",
    )
}

type Key<'a> = (&'a [u16], &'a [u32], u32, i32);

/// The different shapes, that of each name, and the rows by type that shapes name.
fn shapes(parts: &Parts) -> (Vec<Shape>, Vec<u32>, Vec<(u16, u32)>) {
    let mut known: HashMap<Key<'_>, u32, FixedState> = HashMap::default();
    let (mut shapes, mut by_type, mut shape_of) = (Vec::new(), Vec::new(), Vec::new());
    let mut belows = Vec::new();
    for i in 0..parts.otherwise.len() {
        let span = parts.types_at[i] as usize..parts.types_at[i + 1] as usize;
        let (types, answers) = (&parts.types[span.clone()], &parts.answers[span]);
        let (otherwise, below) = (parts.otherwise[i], parts.below[i]);
        let number = *known
            .entry((types, answers, otherwise, below))
            .or_insert_with(|| {
                let (first, count) = (by_type.len() as u32, types.len() as u32);
                by_type.extend(types.iter().copied().zip(answers.iter().copied()));
                shapes.push(Shape {
                    first,
                    count,
                    otherwise,
                    below: Below::Answer(0),
                });
                belows.push(below);
                shapes.len() as u32 - 1
            });
        shape_of.push(number);
    }
    for (shape, below) in shapes.iter_mut().zip(belows) {
        let answer = Below::Answer(!below as u32);
        shape.below = if below < 0 {
            answer
        } else {
            Below::Shape(shape_of[below as usize])
        };
    }
    (shapes, shape_of, by_type)
}

const TAG: u64 = 0xFFFF_FFFF_0000_0000;

/// The upper half of a hash, where no slot's number comes from.
fn tagged(hash: u64) -> u64 {
    hash & TAG
}

fn hash(name: &[u8]) -> u64 {
    FixedState::default().hash_one(name)
}

/// Where a record of the arena goes: no name lies across two lines of the cache that fits into one.
fn placed(at: usize, length: usize) -> usize {
    let size = BEFORE + length;
    if at % LINE + size > LINE && size <= LINE {
        at.next_multiple_of(LINE)
    } else {
        at
    }
}

fn arena_size(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.fold(LINE, |at, length| placed(at, length) + BEFORE + length)
}

/// Zeroed memory, on huge pages where it is large and the system has them.
struct Memory(MmapMut);

impl Memory {
    fn of(size: usize) -> Self {
        let map = MmapMut::map_anon(size.max(1)).expect("there is memory for the names");
        #[cfg(target_os = "linux")]
        let _ = map.advise(Advice::HugePage); // a wish
        Self(map)
    }

    fn octets(&self) -> &[u8] {
        &self.0
    }

    fn octets_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    fn word(&self, number: u64) -> u64 {
        let at = 8 * number as usize;
        u64::from_le_bytes(self.0[at..at + 8].try_into().expect("eight octets"))
    }

    fn set_word(&mut self, number: u64, word: u64) {
        let at = 8 * number as usize;
        self.0[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }
}
