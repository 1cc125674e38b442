//! Tables with something wrong in them, from octets: for tests and fuzzing.

use geodns_native::names::Parts;
use geodns_native::table::{AnswerSet, Pick, Row, Table, Unsound};

use crate::world;

/// What octets decide.
pub struct Octets<'a>(pub &'a [u8]);

impl Octets<'_> {
    /// The next one; 0 where there is none left.
    pub fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// An index into so many, of which there are some.
    fn index(&mut self, count: usize) -> usize {
        usize::from(u16::from_be_bytes([self.next(), self.next()])) % count
    }

    /// A number that is near another, small, or as large as it gets.
    fn instead(&mut self, of: u64) -> u64 {
        const LARGE: [u64; 6] = [0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 1 << 32, u64::MAX];
        match self.next() % 4 {
            0 => of.wrapping_add(self.next().into()),
            1 => of.wrapping_sub(self.next().into()),
            2 => self.next().into(),
            _ => LARGE[self.index(LARGE.len())],
        }
    }
}

/// The table of `world` with up to four things changed; or what keeps it from being taken over.
pub fn damaged(octets: &mut Octets<'_>) -> Result<Table, Unsound> {
    let (mut parts, mut sets, mut empty) = (world::parts(), world::sets(), world::soa());
    for _ in 0..=octets.next() % 4 {
        match octets.next() % 4 {
            0 => part(&mut parts, octets),
            1 => {
                let number = octets.index(parts.rows.len());
                row(&mut parts.rows[number], octets);
            }
            2 => {
                let number = octets.index(sets.len());
                set(&mut sets[number], octets);
            }
            _ if octets.next() % 8 == 0 => octet(&mut empty, octets),
            _ => octet(&mut parts.bodies, octets),
        }
    }
    world::table_of(parts, sets, &empty)
}

macro_rules! vary {
    ($field:expr, $octets:expr) => {
        $field = $octets.instead($field as u64) as _
    };
}

fn one<T: Copy>(of: &mut Vec<T>, octets: &mut Octets<'_>, other: impl FnOnce(T, &mut Octets<'_>) -> T) {
    if of.is_empty() || octets.next() % 8 == 0 {
        of.pop();
        return;
    }
    let at = octets.index(of.len());
    of[at] = other(of[at], octets);
}

fn octet(of: &mut Vec<u8>, octets: &mut Octets<'_>) {
    one(of, octets, |_, octets| octets.next());
}

fn part(parts: &mut Parts, octets: &mut Octets<'_>) {
    match octets.next() % 8 {
        0 => one(&mut parts.name_at, octets, |old, o| o.instead(old.into()) as u32),
        1 => one(&mut parts.types_at, octets, |old, o| o.instead(old.into()) as u32),
        2 => one(&mut parts.types, octets, |old, o| o.instead(old.into()) as u16),
        3 => one(&mut parts.answers, octets, |old, o| o.instead(old.into()) as u32),
        4 => one(&mut parts.otherwise, octets, |old, o| {
            o.instead(old.into()) as u32
        }),
        5 => one(&mut parts.below, octets, |old, o| o.instead(old as u64) as i32),
        6 => vary!(parts.depth, octets),
        _ => octet(&mut parts.wire, octets),
    }
}

fn row(row: &mut Row, octets: &mut Octets<'_>) {
    match octets.next() % 9 {
        0 => vary!(row.body, octets),
        1 => vary!(row.extra, octets),
        2 => vary!(row.end, octets),
        3 => vary!(row.sheet, octets),
        4 => row.flags ^= 1 << (octets.next() % 16),
        5 => vary!(row.an, octets),
        6 => vary!(row.ns, octets),
        7 => vary!(row.ar, octets),
        _ => vary!(row.more, octets),
    }
}

fn set(set: &mut AnswerSet, octets: &mut Octets<'_>) {
    match octets.next() % 12 {
        0 => vary!(set.count, octets),
        1 => vary!(set.members, octets),
        2 => octet(&mut set.rrs, octets),
        3 => one(&mut set.at, octets, |old, o| o.instead(old.into()) as u32),
        4 => one(&mut set.weights, octets, |old, o| o.instead(old.into()) as u32),
        5 => one(&mut set.order, octets, |old, o| o.instead(old.into()) as u16),
        6 => vary!(set.ttl, octets),
        7 => vary!(set.ttl_min, octets),
        8 => vary!(set.ttl_at, octets),
        9 => vary!(set.state, octets),
        10 => set.weights.clear(),
        _ => {
            set.pick =
                [Pick::Fixed, Pick::Weighted, Pick::Turns, Pick::Sticky][usize::from(octets.next() % 4)]
        }
    }
}
