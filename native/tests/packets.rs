//! Any octets as a packet: what holds of every reply, over the seeds of the fuzzers and over much more.

mod world;

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use geodns_native::picks::mix;
use geodns_native::replay::Arrival;
use world::{STREAM, ask, queries, table, terms};

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
