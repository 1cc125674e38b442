//! A table with something wrong in it, by the first 24 octets: it is refused, or every packet can be put to it.
#![no_main]

use std::net::Ipv4Addr;
use std::sync::LazyLock;

use geodns_native::replay::Arrival;
use geodns_native::terms::Terms;
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/damage/mod.rs"]
mod damage;
#[path = "../../tests/world/mod.rs"]
#[allow(dead_code)]
mod world;

static ASKING: LazyLock<(Terms, Vec<Vec<u8>>)> = LazyLock::new(|| (world::terms(), world::queries()));

fuzz_target!(|data: &[u8]| {
    let (first, rest) = data.split_at(data.len().min(24));
    let Ok(table) = damage::damaged(&mut damage::Octets(first)) else { return };
    let (terms, queries) = &*ASKING;
    let limits = [512, 1232, world::STREAM];
    for (packet, limit) in queries.iter().step_by(5).map(Vec::as_slice).chain([rest]).zip(limits.into_iter().cycle()) {
        let client = Ipv4Addr::new(10, 1, 2, 3).into();
        world::asked(&table, terms, &Arrival { packet, client, limit, chance: 1 << 31, now: 1_700_000_000 });
    }
});
