//! Any octets as a packet. The first one says who asks, over what, and with which luck, as in `tests/fuzz/packet.py`.
#![no_main]

use std::net::IpAddr;
use std::sync::LazyLock;

use geodns_native::replay::Arrival;
use geodns_native::table::Table;
use geodns_native::terms::Terms;
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/world/mod.rs"]
mod world;

const CLIENTS: [&str; 6] =
    ["198.18.0.1", "10.1.2.3", "10.2.3.4", "2001:db8::1", "2001:db8:8000::1", "::ffff:10.1.2.3"];

static WORLD: LazyLock<(Table, Terms)> = LazyLock::new(|| (world::table(), world::terms()));

fuzz_target!(|data: &[u8]| {
    let Some((&first, packet)) = data.split_first() else { return };
    let client: IpAddr = CLIENTS[usize::from(first) % CLIENTS.len()].parse().expect("an address");
    let limit = [1232, 512, 4096, world::STREAM][usize::from(first >> 3 & 3)];
    let chance = u32::from(first >> 5) << 29;
    let now = 1_700_000_000 + 5 * u64::from(first >> 5);
    world::ask(&WORLD.0, &WORLD.1, &Arrival { packet, client, limit, chance, now });
});
