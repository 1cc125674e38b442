//! A MaxMind DB file read once: where which record holds, and of each record what rules can ask for.
//!
//! What the parts of a record mean is decided in Python (`geodns.geo.locate`); here they only are taken out.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use foldhash::fast::FixedState;
use maxminddb::{LookupResult, MaxMindDbError, Reader, WithinOptions};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::edns::stands_for_ipv4;
use crate::runs::{Address, Layer, Runs};

/// Part of a record. What is of a type that no rule asks for is `Other`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    Text(String),
    Whole(i128),
    Float(f64),
    /// The entries that are wanted, in the order of their keys.
    Map(Vec<(&'static str, Value)>),
    List(Vec<Value>),
    Other,
}

impl Value {
    /// Append it to octets: records by the hundred thousand are compared, and are to take little room.
    fn pack(&self, out: &mut Vec<u8>) {
        let mut tagged = |tag: u8, octets: &[u8]| {
            out.push(tag);
            out.extend_from_slice(octets);
        };
        match self {
            Self::Other => tagged(0, &[]),
            Self::Text(text) => {
                tagged(1, &(text.len() as u32).to_ne_bytes());
                out.extend_from_slice(text.as_bytes());
            }
            Self::Whole(number) => tagged(2, &number.to_ne_bytes()),
            Self::Float(number) => tagged(3, &number.to_ne_bytes()),
            Self::Map(entries) => {
                tagged(4, &(entries.len() as u32).to_ne_bytes());
                for (name, value) in entries {
                    out.extend(NAMES.binary_search(name).map(|at| at as u8));
                    value.pack(out);
                }
            }
            Self::List(items) => {
                tagged(5, &(items.len() as u32).to_ne_bytes());
                items.iter().for_each(|item| item.pack(out));
            }
        }
    }

    /// What was packed first in octets, which are those behind it then; None for what was not packed here.
    fn unpack(octets: &mut &[u8]) -> Option<Self> {
        let [tag] = taken(octets)?;
        Some(match tag {
            1 => {
                let count = u32::from_ne_bytes(taken(octets)?) as usize;
                let (text, rest) = octets.split_at_checked(count)?;
                *octets = rest;
                Self::Text(std::str::from_utf8(text).ok()?.to_owned())
            }
            2 => Self::Whole(i128::from_ne_bytes(taken(octets)?)),
            3 => Self::Float(f64::from_ne_bytes(taken(octets)?)),
            4 => {
                let count = u32::from_ne_bytes(taken(octets)?);
                let mut entry = || {
                    let [name] = taken(octets)?;
                    Some((*NAMES.get(usize::from(name))?, Self::unpack(octets)?))
                };
                Self::Map((0..count).map(|_| entry()).collect::<Option<_>>()?)
            }
            5 => {
                let count = u32::from_ne_bytes(taken(octets)?);
                Self::List((0..count).map(|_| Self::unpack(octets)).collect::<Option<_>>()?)
            }
            _ => Self::Other,
        })
    }
}

fn taken<const N: usize>(octets: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = octets.split_first_chunk()?;
    *octets = rest;
    Some(*first)
}

/// What is wanted of a value: of a map some entries, of a list the same of each of its items, else all of it.
struct Want(&'static [(&'static str, Want)]);

const ALL: Want = Want(&[]);

/// The names in `RECORD`.
const NAMES: [&str; 13] = [
    "autonomous_system_number",
    "city",
    "code",
    "continent",
    "country",
    "en",
    "geoname_id",
    "iso_code",
    "latitude",
    "location",
    "longitude",
    "names",
    "subdivisions",
];

/// What `where_of` and `carrier_of` in `geodns.geo.locate` look at.
const RECORD: Want = Want(&[
    ("autonomous_system_number", ALL),
    (
        "city",
        Want(&[("geoname_id", ALL), ("names", Want(&[("en", ALL)]))]),
    ),
    ("continent", Want(&[("code", ALL)])),
    ("country", Want(&[("iso_code", ALL)])),
    ("location", Want(&[("latitude", ALL), ("longitude", ALL)])),
    ("subdivisions", Want(&[("iso_code", ALL)])),
]);

/// A database's blocks as a layer of record numbers, and the records. Number 0 is the empty one.
#[derive(Debug)]
pub struct Contents {
    /// Where which record holds.
    pub layer: Layer,
    /// The different records.
    pub records: Records,
}

/// The different records of a database, each packed.
#[derive(Debug)]
pub struct Records(Vec<Box<[u8]>>);

impl Records {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// One of them.
    pub fn get(&self, number: usize) -> Option<Value> {
        Value::unpack(&mut self.0.get(number)?.as_ref())
    }
}

/// Read a database, of its records the entries named in `parts`.
///
/// As `geodns.geo.mmdb` looks addresses up: a record that cannot be read is empty, a database of IPv4 knows
/// nothing of IPv6, and none knows anything of the IPv6 addresses that stand for IPv4 ones. A search tree that is
/// damaged is an error.
pub fn read(octets: &[u8], parts: &HashSet<String>) -> Result<Contents, MaxMindDbError> {
    let reader = Reader::from_source(octets)?;
    let mut reading = Reading::new(parts, reader.metadata().node_count as usize);
    let mut v4 = Cut::default();
    reading.walk(&reader, "0.0.0.0/0", |ip, prefix, number| match ip {
        IpAddr::V4(ip) => v4.put(ip.into(), prefix, number),
        IpAddr::V6(_) => v4.put(0, 0, number), // the block of IPv6 that all of IPv4 lies in
    })?;
    let mut v6 = Cut::default();
    if reader.metadata().ip_version == 6 {
        for (start, length) in own_blocks() {
            let within = format!("{}/{length}", Ipv6Addr::from(start));
            reading.walk(&reader, &within, |ip, prefix, number| {
                let first = match ip {
                    IpAddr::V4(ip) => u32::from(ip).into(),
                    IpAddr::V6(ip) => u128::from(ip),
                };
                v6.put(first.max(start), prefix.max(length), number);
            })?;
        }
    }
    let layer = Layer {
        v4: v4.close(),
        v6: v6.close(),
    };
    Ok(Contents {
        layer,
        records: reading.records(),
    })
}

/// The largest blocks of IPv6 without an address that stands for one of IPv4, in their order.
fn own_blocks() -> Vec<(u128, u8)> {
    let mut found = Vec::new();
    let mut next = Some(0u128);
    while let Some(start) = next {
        let (stands, length) = stands_for_ipv4(start);
        if !stands {
            found.push((start, length));
        }
        next = start.behind(length);
    }
    found
}

/// A database being read: the records met so far.
struct Reading<'a> {
    parts: &'a HashSet<String>,
    /// How many more blocks there may be: a tree that leads back into itself has no end.
    left: usize,
    known: HashMap<usize, u32, FixedState>,
    /// By the packed record.
    numbers: HashMap<Box<[u8]>, u32, FixedState>,
    packed: Vec<u8>,
}

impl<'a> Reading<'a> {
    fn new(parts: &'a HashSet<String>, nodes: usize) -> Self {
        let mut found = Self {
            parts,
            // Between the ranges that stand for IPv4 each node is met once, but for aliases that nobody knows of.
            left: nodes.saturating_mul(2).saturating_add(1 << 12),
            known: HashMap::default(),
            numbers: HashMap::default(),
            packed: Vec::new(),
        };
        found.keep(&Value::Map(Vec::new()));
        found
    }

    /// Tell of all blocks of a range that have a record.
    fn walk<S: AsRef<[u8]>>(
        &mut self,
        reader: &Reader<S>,
        within: &str,
        mut tell: impl FnMut(IpAddr, u8, u32),
    ) -> Result<(), MaxMindDbError> {
        let options = WithinOptions::default()
            .include_aliased_networks()
            .include_networks_without_data();
        let range = within.parse().map_err(MaxMindDbError::InvalidNetwork)?;
        for found in reader.within(range, options)? {
            let found = found?;
            let endless = || MaxMindDbError::invalid_database("the search tree does not end");
            self.left = self.left.checked_sub(1).ok_or_else(endless)?;
            if let Some(offset) = found.offset() {
                let number = self.number(offset, &found)?;
                let block = found.network()?;
                tell(block.ip(), block.prefix(), number);
            }
        }
        Ok(())
    }

    fn number<S: AsRef<[u8]>>(
        &mut self,
        offset: usize,
        found: &LookupResult<'_, S>,
    ) -> Result<u32, MaxMindDbError> {
        if let Some(known) = self.known.get(&offset) {
            return Ok(*known);
        }
        let record = match found.decode::<Record>() {
            Ok(record) => record.map_or(Value::Other, |record| record.0),
            Err(error @ MaxMindDbError::ResourceLimit { .. }) => return Err(error),
            Err(_) => Value::Other,
        };
        let record = match record {
            Value::Map(entries) => entries
                .into_iter()
                .filter(|(key, _)| self.parts.contains(*key))
                .collect(),
            _ => Vec::new(),
        };
        let number = self.keep(&Value::Map(record));
        self.known.insert(offset, number);
        Ok(number)
    }

    fn keep(&mut self, record: &Value) -> u32 {
        self.packed.clear();
        record.pack(&mut self.packed);
        if let Some(known) = self.numbers.get(&self.packed[..]) {
            return *known;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(self.packed[..].into(), number);
        number
    }

    fn records(self) -> Records {
        let mut records = vec![Box::default(); self.numbers.len()];
        self.numbers
            .into_iter()
            .for_each(|(record, number)| records[number as usize] = record);
        Records(records)
    }
}

/// Blocks in the order of their addresses, being made into runs; where none is, there is number 0.
struct Cut<A> {
    runs: Runs<A>,
    /// The first address behind the last block; None: there is none.
    next: Option<A>,
}

impl<A: Address> Default for Cut<A> {
    fn default() -> Self {
        Self {
            runs: Runs::default(),
            next: Some(A::default()),
        }
    }
}

impl<A: Address> Cut<A> {
    fn put(&mut self, start: A, prefix: u8, number: u32) {
        if let Some(next) = self.next.filter(|next| *next < start) {
            self.runs.begin(next, 0);
        }
        self.runs.begin(start, number);
        self.next = start.behind(prefix);
    }

    fn close(mut self) -> Runs<A> {
        if let Some(next) = self.next {
            self.runs.begin(next, 0);
        }
        self.runs.shrink();
        self.runs
    }
}

/// A whole record, of which what is wanted is kept. All of it is read, so that whether it can be is known.
struct Record(Value);

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Part(Some(&RECORD)).deserialize(deserializer).map(Self)
    }
}

/// A value of which something is wanted, or nothing.
#[derive(Clone, Copy)]
struct Part(Option<&'static Want>);

impl Part {
    /// What is wanted of a map's entry: its place among those that are, and of what kind it is.
    fn entry(self, key: &str) -> Option<&'static (&'static str, Want)> {
        self.0?.0.iter().find(|(name, _)| *name == key)
    }

    fn keep(self, value: impl FnOnce() -> Value) -> Value {
        match self.0 {
            Some(Want([])) => value(),
            _ => Value::Other,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Part {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(self.keep(|| Value::Text(value.into())))
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(self.keep(|| Value::Whole(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(self.keep(|| Value::Whole(value.into())))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(self.keep(|| value.try_into().map_or(Value::Other, Value::Whole)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(self.keep(|| Value::Float(value)))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Value, M::Error> {
        let mut found: Vec<(&'static str, Value)> = Vec::new();
        while let Some(key) = map.next_key::<&str>()? {
            let entry = self.entry(key);
            let value = map.next_value_seed(Self(entry.map(|(_, want)| want)))?;
            if let Some((name, _)) = entry {
                match found.binary_search_by_key(name, |(name, _)| name) {
                    Ok(at) => found[at].1 = value, // of two, the last one counts
                    Err(at) => found.insert(at, (name, value)),
                }
            }
        }
        Ok(match self.0 {
            Some(Want([_, ..])) => Value::Map(found),
            _ => Value::Other,
        })
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Value, S::Error> {
        let mut found = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            found.push(item);
        }
        Ok(match self.0 {
            Some(Want([_, ..])) => Value::List(found),
            _ => Value::Other,
        })
    }
}
