//! All that is known of addresses laid over each other: own networks, and the records of the databases.
//!
//! Where any of it changes, a run begins. What the runs hold, each combination once, are the places that Python
//! is asked the classes of.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::mmdb::{Contents, Record};
use crate::place::{Address, Places, Ranges, Run};

/// Databases that are laid over each other: City, Country, ASN, ISP.
pub const DATABASES: usize = 4;
/// What is known of an address: which of the answers of own networks, which record of each database.
pub type Known = [u32; 1 + DATABASES];

/// The ranges in which IPv4 addresses are embedded, of which no database knows anything (`geodns.geo.mmdb`).
const EMBEDDED: [(u128, u8); 5] = [
    (0, 96),
    (0xFFFF << 32, 96),
    (0x0064_FF9B << 96, 96),
    (0x2001 << 112, 32),
    (0x2002 << 112, 16),
];

/// See the top of the file.
pub struct Survey {
    /// The places, each once: a run's value is the number of one.
    pub places: Vec<Known>,
    /// The databases' records, empty where there is no database.
    pub records: Vec<Vec<Record>>,
    v4: Vec<Run<u32>>,
    v6: Vec<Run<u128>>,
}

impl Survey {
    /// Lay own networks (runs of IPv4 and IPv6, the first at 0) over what databases contain.
    pub fn of(own: (&[Run<u32>], &[Run<u128>]), contents: [Option<Contents>; DATABASES]) -> Self {
        let mut numbers = HashMap::<Known, u32, FixedState>::default();
        let mut places = Vec::new();
        let mut number = |known: Known| {
            *numbers.entry(known).or_insert_with(|| {
                places.push(known);
                places.len() as u32 - 1
            })
        };
        let nowhere = [Run { start: 0, value: 0 }];
        let of4 = contents
            .each_ref()
            .map(|contents| contents.as_ref().map_or(&nowhere[..], |c| &c.v4));
        let v4 = overlay(own.0, of4, &nowhere, &mut number);
        let nowhere = [Run { start: 0, value: 0 }];
        let of6 = contents
            .each_ref()
            .map(|contents| contents.as_ref().map_or(&nowhere[..], |c| &c.v6));
        let v6 = overlay(own.1, of6, &embedded(), &mut number);
        let records = contents
            .into_iter()
            .map(|contents| contents.map_or(Vec::new(), |c| c.records));
        Self {
            places,
            records: records.collect(),
            v4,
            v6,
        }
    }

    /// The classes of a plan: `classes` has one for each place. Everybody's, where no part of a place was asked.
    pub fn classified(&self, classes: &[u32], everybody: bool) -> Places {
        Places {
            v4: ranges(&self.v4, classes),
            v6: ranges(&self.v6, classes),
            everybody,
        }
    }

    /// How many runs there are, of both families.
    pub fn runs(&self) -> usize {
        self.v4.len() + self.v6.len()
    }
}

fn ranges<A: Address>(runs: &[Run<A>], classes: &[u32]) -> Ranges<A> {
    Ranges::of(runs.iter().map(|run| Run {
        start: run.start,
        value: classes[run.value as usize],
    }))
}

/// Runs of 1 within the ranges in which IPv4 addresses are embedded, of 0 elsewhere.
fn embedded() -> Vec<Run<u128>> {
    let inside = EMBEDDED
        .into_iter()
        .map(|(start, prefix)| (start, start.behind(prefix)));
    let mut runs = vec![Run { start: 0, value: 0 }];
    for (start, behind) in inside {
        runs.retain(|run| run.start != start);
        runs.push(Run { start, value: 1 });
        runs.extend(behind.map(|start| Run { start, value: 0 }));
    }
    runs
}

/// Runs of what all the lists say together; where `hidden` is 1, databases say nothing.
fn overlay<A: Address>(
    own: &[Run<A>],
    databases: [&[Run<A>]; DATABASES],
    hidden: &[Run<A>],
    number: &mut impl FnMut(Known) -> u32,
) -> Vec<Run<A>> {
    let [city, country, asn, isp] = databases;
    let lists = [own, city, country, asn, isp, hidden];
    let mut at = [0; 2 + DATABASES];
    let mut runs: Vec<Run<A>> = Vec::new();
    let mut start = A::default();
    loop {
        let mut known = [0; 1 + DATABASES];
        let shown = lists[1 + DATABASES][at[1 + DATABASES]].value == 0;
        for i in 0..if shown { known.len() } else { 1 } {
            known[i] = lists[i][at[i]].value;
        }
        let value = number(known);
        if runs.last().is_none_or(|last| last.value != value) {
            runs.push(Run { start, value });
        }
        let next = lists
            .iter()
            .zip(&at)
            .filter_map(|(list, &i)| Some(list.get(i + 1)?.start))
            .min();
        let Some(next) = next else { return runs };
        for (list, i) in lists.iter().zip(&mut at) {
            *i += usize::from(list.get(*i + 1).is_some_and(|run| run.start == next));
        }
        start = next;
    }
}
