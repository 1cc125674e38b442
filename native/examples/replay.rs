//! What a packet costs in the replay alone, without the system: nanoseconds by kind of packet.

use std::net::IpAddr;
use std::time::Instant;

use geodns_native::replay::{Arrival, Replay};

#[path = "../tests/world/mod.rs"]
mod world;

const ROUNDS: u32 = 2_000_000;

fn query(name: &str, rtype: u8, opt: &[u8]) -> Vec<u8> {
    let header = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(!opt.is_empty())];
    [&header, &world::name(name)[..], &[0, rtype, 0, 1], opt].concat()
}

fn main() {
    let (table, terms) = (world::table(), world::terms());
    let client: IpAddr = "10.1.2.3".parse().expect("an address");
    let subnet = [
        0, 0, 41, 4, 0xD0, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0, 10, 1, 2,
    ];
    let kinds = [
        ("static", query("static.z.test", 1, &[])),
        ("steered", query("s0.z.test", 1, &[])),
        ("steered, Client Subnet", query("s0.z.test", 1, &subnet)),
        ("does not exist", query("gone.z.test", 1, &[])),
        ("does not exist, deep", query("a.b.c.d.gone.z.test", 1, &[])),
        ("refused", query("www.elsewhere.test", 1, &[])),
    ];
    let replay = Replay {
        table: &table,
        terms: &terms,
        places: &world::Halves,
    };
    let (mut counts, mut out) = (world::Turns::default(), Vec::with_capacity(4096));
    for (kind, packet) in &kinds {
        let mut best = f64::MAX;
        for _ in 0..3 {
            let began = Instant::now();
            for chance in 0..ROUNDS {
                let arrival = Arrival {
                    packet,
                    client,
                    limit: 1232,
                    chance,
                    now: 1_700_000_000,
                };
                std::hint::black_box(replay.answer(std::hint::black_box(&arrival), &mut counts, &mut out));
            }
            best = best.min(began.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS));
        }
        println!("{kind:24} {best:6.1} ns, {} octets", out.len());
    }
}
