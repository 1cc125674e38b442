//! Any octets as a packet: what holds of every reply, over the seeds of the fuzzers and over much more.

mod world;

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use geodns_native::names::{Names, Parts};
use geodns_native::picks::mix;
use geodns_native::replay::Arrival;
use world::{STREAM, ask, name, parts, table, terms};

const CLIENTS: [&str; 4] = ["198.18.0.1", "10.1.2.3", "2001:db8::1", "::ffff:10.1.2.3"];

fn put(packets: impl Iterator<Item = Vec<u8>>) -> usize {
    let (table, terms) = (table(), terms());
    let mut answered = 0;
    for (number, packet) in packets.enumerate() {
        for limit in [512, 1232, STREAM] {
            let client: IpAddr = CLIENTS[number % 4].parse().unwrap();
            let chance = mix(number as u64) as u32;
            let arrival = Arrival {
                packet: &packet,
                client,
                limit,
                chance,
                now: 1_700_000_000,
            };
            answered += usize::from(ask(&table, &terms, &arrival).is_some());
        }
    }
    answered
}

fn query(name: &[u8], rtype: u16, opt: &[u8]) -> Vec<u8> {
    let header = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(!opt.is_empty())];
    [&header, name, &rtype.to_be_bytes(), &[0, 1], opt].concat()
}

fn queries() -> Vec<Vec<u8>> {
    let names = [
        "z.test", "static", "big", "a.w", "x.cut", "a.moved", "s3.moved", "x.round", "gone", "alias",
    ];
    let names = names
        .iter()
        .map(|text| text.to_string())
        .chain((0..7).map(|i| format!("s{i}")));
    let subnet = [
        0, 0, 41, 4, 0xD0, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0, 10, 1, 2,
    ];
    let cookie = [&[0, 0, 41, 2, 0, 0, 0, 0x80, 0, 0, 12, 0, 10, 0, 8][..], &[7; 8]].concat();
    names
        .map(|text| {
            if text == "z.test" {
                name(&text)
            } else {
                name(&format!("{text}.z.test"))
            }
        })
        .flat_map(|name| [1, 15, 16, 28, 5, 255].map(|rtype| (name.clone(), rtype)))
        .flat_map(|(name, rtype)| [&[][..], &subnet, &cookie].map(|opt| query(&name, rtype, opt)))
        .collect()
}

#[test]
fn the_seeds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/seeds/packet");
    let seeds = fs::read_dir(folder)
        .unwrap()
        .map(|entry| fs::read(entry.unwrap().path()).unwrap());
    assert!(put(seeds.map(|seed| seed.get(1..).unwrap_or_default().to_vec())) > 100);
}

#[test]
fn queries_of_every_kind() {
    let queries = queries();
    assert_eq!(put(queries.iter().cloned()), 3 * queries.len());
}

#[test]
fn queries_with_octets_changed() {
    let queries = queries();
    let mut seed = 0;
    let mut next = |most: usize| {
        seed += 1;
        mix(seed) as usize % most
    };
    let rounds = if cfg!(miri) { 200 } else { 60_000 };
    let changed = (0..rounds).map(|number| {
        let mut packet = queries[number % queries.len()].clone();
        for _ in 0..1 + next(3) {
            let at = next(packet.len().max(1)).min(packet.len());
            match next(4) {
                0 if at < packet.len() => packet[at] = next(256) as u8,
                1 => packet.insert(at, [0, 1, 0x3F, 0x40, 0xC0, 0xFF, 41, 8, 10][next(9)]),
                2 if at < packet.len() => drop(packet.remove(at)),
                _ => packet.truncate(at.max(4)),
            }
        }
        packet
    });
    assert!(put(changed) > rounds);
}

/// Whatever contradicts itself is refused when it is taken over, so that no packet meets it.
#[test]
fn parts_that_contradict_themselves_are_refused() {
    let damages: [fn(&mut Parts); 14] = [
        |parts| parts.name_at[1] = 9_999,
        |parts| parts.name_at[2] = 0,
        |parts| parts.name_at.truncate(3),
        |parts| parts.types_at[1] = 99,
        |parts| _ = parts.types_at.pop(),
        |parts| _ = parts.answers.pop(),
        |parts| parts.answers[0] = 99,
        |parts| parts.otherwise[0] = 99,
        |parts| parts.below[0] = 99,
        |parts| parts.below[0] = -99,
        |parts| _ = parts.below.pop(),
        |parts| parts.rows[0].end = 1 << 30,
        |parts| parts.rows[0].body = 1 << 20,
        |parts| parts.rows[0].sheet = -7,
    ];
    assert!(Names::of(parts()).is_ok());
    for (number, damage) in damages.iter().enumerate() {
        let mut parts = parts();
        damage(&mut parts);
        assert!(Names::of(parts).is_err(), "damage {number}");
    }
}
