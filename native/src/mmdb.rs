//! MaxMind DB files read once: which record holds where, and of each record what rules can ask for.
//!
//! A database is somebody else's file: a part that has not the type it should have is a part that is not there.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;

use foldhash::fast::FixedState;
use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::place::{Address, Run};

/// What of records is wanted; the rest is not looked at, so that more of them are the same.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Wanted {
    pub subdivisions: bool,
    pub city: bool,
    pub coordinates: bool,
    /// The autonomous systems that somebody asks for; any other one is number 0.
    pub systems: HashSet<u64>,
}

/// What is wanted of a record. Coordinates are (latitude, longitude), as bits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct Record {
    pub country: Option<String>,
    pub continent: Option<String>,
    pub subdivisions: Vec<Option<String>>,
    pub city: Option<String>,
    pub geoname: Option<u64>,
    pub coordinates: Option<(u64, u64)>,
    pub system: Option<u64>,
}

/// A database's blocks as runs of record numbers, and the records. Record 0 is what stands where there is none.
pub struct Contents {
    /// Of IPv4.
    pub v4: Vec<Run<u32>>,
    /// Of IPv6.
    pub v6: Vec<Run<u128>>,
    /// The different records.
    pub records: Vec<Record>,
}

/// Read all of a database.
pub fn read(octets: &[u8], wanted: &Wanted) -> Result<Contents, MaxMindDbError> {
    let reader = Reader::from_source(octets)?;
    let mut known: HashMap<usize, u32, FixedState> = HashMap::default();
    let mut numbers: HashMap<Record, u32, FixedState> = HashMap::default();
    numbers.insert(Record::default(), 0);
    let (mut v4, mut v6) = (Cut::default(), Cut::default());
    for network in reader.networks(WithinOptions::default())? {
        let network = network?;
        let Some(offset) = network.offset() else { continue };
        let number = *known.entry(offset).or_insert_with(|| {
            // One that cannot be read says nothing.
            let raw = network
                .decode::<Lenient<'_, Raw<'_>>>()
                .ok()
                .flatten()
                .unwrap_or_default();
            let next = numbers.len() as u32;
            *numbers.entry(raw.part.record(wanted)).or_insert(next)
        });
        let block = network.network()?;
        match block.ip() {
            IpAddr::V4(ip) => v4.put(ip.into(), block.prefix(), number),
            IpAddr::V6(ip) => {
                if u128::from(ip) == 0 && block.prefix() <= 96 {
                    v4.put(0, 0, number); // it holds all of IPv4, which lies in ::/96
                }
                v6.put(ip.into(), block.prefix(), number);
            }
        }
    }
    let mut records = vec![Record::default(); numbers.len()];
    numbers
        .into_iter()
        .for_each(|(record, number)| records[number as usize] = record);
    Ok(Contents {
        v4: v4.close(),
        v6: v6.close(),
        records,
    })
}

/// Blocks in the order of their addresses, being made into runs.
struct Cut<A> {
    runs: Vec<Run<A>>,
    /// The first address behind the last block; None: there is none.
    next: Option<A>,
}

impl<A: Address> Default for Cut<A> {
    fn default() -> Self {
        Self {
            runs: Vec::new(),
            next: Some(A::default()),
        }
    }
}

impl<A: Address> Cut<A> {
    fn put(&mut self, start: A, prefix: u8, value: u32) {
        if self.next.is_some_and(|next| next < start) {
            self.push(self.next.unwrap_or_default(), 0);
        }
        self.push(start, value);
        self.next = start.behind(prefix);
    }

    fn push(&mut self, start: A, value: u32) {
        if self.runs.last().is_none_or(|last| last.value != value) {
            self.runs.push(Run { start, value });
        }
    }

    fn close(mut self) -> Vec<Run<A>> {
        if let Some(next) = self.next {
            self.push(next, 0);
        }
        self.runs
    }
}

/// A part of a record, told of what it turns out to be; what it does not listen to is not there.
trait Part<'de>: Default {
    fn text(&mut self, _: &'de str) {}
    fn number(&mut self, _: u64) {}
    fn float(&mut self, _: f64) {}
    fn entry<M: MapAccess<'de>>(&mut self, _: &str, map: &mut M) -> Result<(), M::Error> {
        map.next_value::<IgnoredAny>().map(|_| ())
    }
    fn item<S: SeqAccess<'de>>(&mut self, seq: &mut S) -> Result<bool, S::Error> {
        Ok(seq.next_element::<IgnoredAny>()?.is_some())
    }
}

/// A part of whatever type.
#[derive(Default)]
struct Lenient<'de, P> {
    part: P,
    life: PhantomData<&'de ()>,
}

impl<'de, P: Part<'de>> Deserialize<'de> for Lenient<'de, P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self {
            part: P::default(),
            life: PhantomData,
        })
    }
}

impl<'de, P: Part<'de>> Visitor<'de> for Lenient<'de, P> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_borrowed_str<E>(mut self, value: &'de str) -> Result<Self, E> {
        self.part.text(value);
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(mut self, value: u64) -> Result<Self, E> {
        self.part.number(value);
        Ok(self)
    }

    fn visit_i64<E>(mut self, value: i64) -> Result<Self, E> {
        u64::try_from(value).map(|value| self.part.number(value)).ok();
        Ok(self)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(mut self, value: f64) -> Result<Self, E> {
        self.part.float(value);
        Ok(self)
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<Self, M::Error> {
        while let Some(key) = map.next_key::<&str>()? {
            self.part.entry(key, &mut map)?;
        }
        Ok(self)
    }

    fn visit_seq<S: SeqAccess<'de>>(mut self, mut seq: S) -> Result<Self, S::Error> {
        while self.part.item(&mut seq)? {}
        Ok(self)
    }
}

/// The value of a map's entry, as the part that it is taken for.
fn value<'de, P: Part<'de>, M: MapAccess<'de>>(map: &mut M) -> Result<P, M::Error> {
    map.next_value::<Lenient<'de, P>>().map(|lenient| lenient.part)
}

#[derive(Default)]
struct Text<'de>(Option<&'de str>);

impl<'de> Part<'de> for Text<'de> {
    fn text(&mut self, value: &'de str) {
        self.0 = Some(value);
    }
}

#[derive(Default)]
struct Number(Option<u64>);

impl Part<'_> for Number {
    fn number(&mut self, value: u64) {
        self.0 = Some(value);
    }
}

#[derive(Default)]
struct Float(Option<f64>);

impl Part<'_> for Float {
    fn float(&mut self, value: f64) {
        self.0 = Some(value);
    }
}

/// A map of names, codes and numbers: what is asked of countries, continents, subdivisions and cities.
#[derive(Default)]
struct Thing<'de> {
    iso_code: Text<'de>,
    code: Text<'de>,
    english: Text<'de>,
    geoname: Number,
}

impl<'de> Part<'de> for Thing<'de> {
    fn entry<M: MapAccess<'de>>(&mut self, key: &str, map: &mut M) -> Result<(), M::Error> {
        match key {
            "iso_code" => self.iso_code = value(map)?,
            "code" => self.code = value(map)?,
            "geoname_id" => self.geoname = value(map)?,
            "names" => self.english = value::<Names<'de>, M>(map)?.0,
            _ => return map.next_value::<IgnoredAny>().map(|_| ()),
        }
        Ok(())
    }
}

#[derive(Default)]
struct Names<'de>(Text<'de>);

impl<'de> Part<'de> for Names<'de> {
    fn entry<M: MapAccess<'de>>(&mut self, key: &str, map: &mut M) -> Result<(), M::Error> {
        if key == "en" {
            self.0 = value(map)?;
            return Ok(());
        }
        map.next_value::<IgnoredAny>().map(|_| ())
    }
}

#[derive(Default)]
struct Things<'de>(Vec<Thing<'de>>);

impl<'de> Part<'de> for Things<'de> {
    fn item<S: SeqAccess<'de>>(&mut self, seq: &mut S) -> Result<bool, S::Error> {
        let found = seq.next_element::<Lenient<'de, Thing<'de>>>()?;
        let more = found.is_some();
        self.0.extend(found.map(|lenient| lenient.part));
        Ok(more)
    }
}

#[derive(Default)]
struct Location {
    latitude: Float,
    longitude: Float,
}

impl<'de> Part<'de> for Location {
    fn entry<M: MapAccess<'de>>(&mut self, key: &str, map: &mut M) -> Result<(), M::Error> {
        match key {
            "latitude" => self.latitude = value(map)?,
            "longitude" => self.longitude = value(map)?,
            _ => return map.next_value::<IgnoredAny>().map(|_| ()),
        }
        Ok(())
    }
}

/// A record as it stands.
#[derive(Default)]
struct Raw<'de> {
    country: Thing<'de>,
    continent: Thing<'de>,
    subdivisions: Things<'de>,
    city: Thing<'de>,
    location: Location,
    system: Number,
}

impl<'de> Part<'de> for Raw<'de> {
    fn entry<M: MapAccess<'de>>(&mut self, key: &str, map: &mut M) -> Result<(), M::Error> {
        match key {
            "country" => self.country = value(map)?,
            "continent" => self.continent = value(map)?,
            "subdivisions" => self.subdivisions = value(map)?,
            "city" => self.city = value(map)?,
            "location" => self.location = value(map)?,
            "autonomous_system_number" => self.system = value(map)?,
            _ => return map.next_value::<IgnoredAny>().map(|_| ()),
        }
        Ok(())
    }
}

impl Raw<'_> {
    fn record(&self, wanted: &Wanted) -> Record {
        let owned = |text: &Text<'_>| text.0.map(str::to_owned);
        let Location {
            latitude: Float(latitude),
            longitude: Float(longitude),
        } = self.location;
        let coordinates = latitude.zip(longitude).filter(|_| wanted.coordinates);
        let subdivisions = if wanted.subdivisions {
            &self.subdivisions.0[..]
        } else {
            &[]
        };
        Record {
            country: owned(&self.country.iso_code),
            continent: owned(&self.continent.code),
            subdivisions: subdivisions.iter().map(|thing| owned(&thing.iso_code)).collect(),
            city: owned(&self.city.english).filter(|_| wanted.city),
            geoname: self.city.geoname.0.filter(|_| wanted.city),
            coordinates: coordinates.map(|(latitude, longitude)| (latitude.to_bits(), longitude.to_bits())),
            system: self.system.0.map(|number| {
                if wanted.systems.contains(&number) {
                    number
                } else {
                    0
                }
            }),
        }
    }
}
