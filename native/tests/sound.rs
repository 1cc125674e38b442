//! Whatever contradicts itself is refused when it is taken over, so that no packet meets it.

mod damage;
mod world;

use std::net::IpAddr;

use damage::{Octets, damaged};
use geodns_native::names::{Names, Parts};
use geodns_native::picks::mix;
use geodns_native::replay::Arrival;
use geodns_native::table::{AnswerSet, Pick, Sheet};
use world::{STREAM, ask, asked, name, parts, queries, sets, soa, table, terms};

#[test]
fn names_that_contradict_themselves_are_refused() {
    let damages: [fn(&mut Parts); 24] = [
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
        |parts| parts.depth = usize::MAX,
        |parts| parts.wire[0] = 64,
        |parts| parts.rows[0].end = 1 << 30,
        |parts| parts.rows[0].body = 1 << 20,
        |parts| parts.rows[0].sheet = -7,
        |parts| parts.rows[0].flags |= 0x0200,
        |parts| parts.rows[0].an = 1,
        |parts| parts.rows[0].ns = u16::MAX,
        |parts| parts.rows[0].extra -= 1,
        |parts| parts.rows[0].sheet = 0,
        |parts| parts.rows[0].flags |= geodns_native::table::FLAG_DNAME,
        |parts| parts.bodies[0] = 0xC0,
        |parts| parts.bodies.iter_mut().for_each(|octet| *octet = 0xFF),
    ];
    assert!(Names::of(parts()).is_ok());
    for (number, damage) in damages.iter().enumerate() {
        let mut parts = parts();
        damage(&mut parts);
        assert!(Names::of(parts).is_err(), "damage {number}");
    }
}

#[test]
fn a_dname_that_leads_to_no_name_is_refused() {
    let mut parts = parts();
    let target = name("x.round.z.test");
    let at = parts
        .bodies
        .windows(target.len())
        .position(|octets| octets == target);
    parts.bodies[at.unwrap() + target.len() - 1] = 1;
    assert!(Names::of(parts).is_err());
}

#[test]
fn sets_that_contradict_themselves_are_refused() {
    let damages: [fn(&mut AnswerSet); 17] = [
        |set| set.count = 0,
        |set| set.count = 4,
        |set| set.members = 2,
        |set| set.members = usize::MAX,
        |set| set.state = 3,
        |set| set.weights.clear(),
        |set| set.weights[0] = 0,
        |set| set.weights[1] = set.weights[0],
        |set| _ = set.weights.pop(),
        |set| set.order[0] = 3,
        |set| _ = set.order.pop(),
        |set| set.pick = Pick::Sticky,
        |set| (set.pick, set.order) = (Pick::Turns, vec![]),
        |set| set.at[1] = u32::MAX,
        |set| set.ttl_at = 1 << 32,
        |set| set.ttl_at = 7,
        |set| _ = set.rrs.pop(),
    ];
    let sound = || sets().swap_remove(0);
    assert!(sound().sound().is_ok());
    for (number, damage) in damages.iter().enumerate() {
        let mut set = sound();
        damage(&mut set);
        assert!(set.sound().is_err(), "damage {number}");
    }
}

#[test]
fn a_sheet_without_a_soa_for_what_is_not_there_is_refused() {
    assert!(Sheet::new(0, false, soa(), 30).is_ok());
    assert!(Sheet::new(0, false, soa()[..9].to_vec(), 30).is_err());
    assert!(Sheet::new(0, false, vec![], 30).is_err());
}

/// Whatever is taken over answers every packet.
#[test]
fn what_is_taken_over_answers() {
    let (terms, queries, whole) = (terms(), queries(), table());
    let (mut taken, rounds) = (0, if cfg!(miri) { 20 } else { 20_000 });
    for round in 0..rounds {
        let octets: Vec<u8> = (0..4).flat_map(|i| mix(4 * round + i).to_le_bytes()).collect();
        let Ok(table) = damaged(&mut Octets(&octets)) else {
            continue;
        };
        taken += 1;
        for (number, packet) in queries.iter().enumerate().skip(round as usize % 7).step_by(7) {
            let client: IpAddr = ["10.1.2.3", "2001:db8::1"][number % 2].parse().unwrap();
            let limit = [512, 1232, STREAM][number % 3];
            let (chance, now) = (mix(round) as u32, 1_700_000_000);
            let arrival = Arrival {
                packet,
                client,
                limit,
                chance,
                now,
            };
            asked(&table, &terms, &arrival);
            ask(&whole, &terms, &arrival);
        }
    }
    assert!(taken > rounds / 10 && taken < rounds, "{taken} of {rounds}");
}
