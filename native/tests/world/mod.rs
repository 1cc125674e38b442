//! A small table with an answer of every shape, and what holds of every reply: for tests, fuzzing, measuring.
#![allow(dead_code)] // who includes it uses a part

use std::sync::Arc;

use geodns_native::cookies::Cookies;
use geodns_native::counts::{Cause, Counts, State};
use geodns_native::names::{Names, Parts};
use geodns_native::networks::Networks;
use geodns_native::place::Classify;
use geodns_native::replay::{Arrival, Outcome, Replay};
use geodns_native::subnet::Subnet;
use geodns_native::table::{
    AnswerSet, FLAG_DNAME, FLAG_NO_SUBNET, Pick, Row, SLOTS, Sheet, Table, Unsound, ensure,
};
use geodns_native::terms::Terms;
use geodns_native::wire::{self, HEADER, skip_name, word};

pub const STREAM: u16 = 65535;
const AA: u16 = 0x0400;
const NXDOMAIN: u16 = 3;
const NAME: [u8; 2] = [0xC0, 0x0C];

/// A name in wire form.
pub fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').filter(|label| !label.is_empty());
    labels
        .flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat())
        .chain([0])
        .collect()
}

fn record(owner: &[u8], rtype: u16, ttl: u32, rdata: &[u8]) -> Vec<u8> {
    let size = (rdata.len() as u16).to_be_bytes();
    [
        owner,
        &rtype.to_be_bytes(),
        &[0, 1],
        &ttl.to_be_bytes(),
        &size,
        rdata,
    ]
    .concat()
}

#[derive(Default)]
struct Builder {
    parts: Parts,
    index: Vec<(Vec<u8>, usize)>,
}

impl Builder {
    fn row(&mut self, flags: u16, counts: [u16; 4], packed: &[u8], optional: &[u8], sheet: i32) -> u32 {
        let body = self.parts.bodies.len() as u32;
        self.parts.bodies.extend_from_slice(packed);
        let extra = self.parts.bodies.len() as u32;
        self.parts.bodies.extend_from_slice(optional);
        let end = self.parts.bodies.len() as u32;
        let [an, ns, ar, more] = counts;
        self.parts.rows.push(Row {
            body,
            extra,
            end,
            sheet,
            slot: 0,
            flags,
            an,
            ns,
            ar,
            more,
        });
        self.parts.rows.len() as u32 - 1
    }

    fn name(&mut self, text: &str, types: &[(u16, u32)], otherwise: u32, below: i32) -> usize {
        let wire = name(text);
        let parts = &mut self.parts;
        parts.depth = parts.depth.max(text.split('.').count());
        parts.wire.extend_from_slice(&wire);
        parts.name_at.push(parts.wire.len() as u32);
        for (rtype, answer) in types {
            parts.types.push(*rtype);
            parts.answers.push(*answer);
        }
        parts.types_at.push(parts.types.len() as u32);
        parts.otherwise.push(otherwise);
        parts.below.push(below);
        self.index.push((wire, parts.below.len() - 1));
        parts.below.len() - 1
    }
}

/// A name of 255 octets that is steered.
fn longest() -> String {
    format!("{0}.{0}.{0}.{1}.z.test", "x".repeat(63), "x".repeat(54))
}

/// The parts that `table` is made of.
pub fn parts() -> Parts {
    let mut b = Builder::default();
    (b.parts.name_at, b.parts.types_at) = (vec![0], vec![0]);
    let soa = soa();
    let nodata = b.row(AA, [0, 1, 0, 0], &soa, &[], -1);
    let nxdomain = !(b.row(AA | NXDOMAIN, [0, 1, 0, 0], &soa, &[], -1) as i32);
    let own_soa = record(
        &NAME,
        6,
        30,
        &[name("ns.z.test"), name("h.z.test"), vec![0; 20]].concat(),
    );
    let soa_row = b.row(AA, [1, 0, 0, 0], &own_soa, &[], -1);
    let a = b.row(AA, [1, 0, 0, 0], &record(&NAME, 1, 30, &[192, 0, 2, 9]), &[], -1);
    let mail: Vec<u8> = (0..60)
        .flat_map(|i| record(&NAME, 15, 30, &[&[0, i], &name("m.mail.z.test")[..]].concat()))
        .collect();
    let hosts: Vec<u8> = (0..30)
        .flat_map(|i| record(&name("m.mail.z.test"), 1, 30, &[192, 0, 2, i]))
        .collect();
    let big = b.row(AA, [60, 0, 0, 30], &mail, &hosts, -1);
    let text = [&[200][..], &[b'x'; 200]].concat();
    let few: Vec<u8> = (0..2).flat_map(|_| record(&NAME, 16, 30, &text)).collect();
    let lean = b.row(AA | FLAG_NO_SUBNET, [2, 0, 0, 6], &few, &hosts[..6 * 29], -1);
    let ns = [
        record(&name("cut.z.test"), 2, 30, &name("ns.cut.z.test")),
        record(&name("ns.cut.z.test"), 1, 30, &[192, 0, 2, 1]),
    ];
    let referral = b.row(0, [0, 1, 1, 0], &ns.concat(), &[], -1);
    let dname = |owner: &str, target: &str| record(&name(owner), 39, 30, &name(target));
    let moved = b.row(
        AA | FLAG_DNAME,
        [1, 0, 0, 0],
        &dname("moved.z.test", "z.test"),
        &[],
        -1,
    );
    let round = b.row(
        AA | FLAG_DNAME,
        [1, 0, 0, 0],
        &dname("round.z.test", "x.round.z.test"),
        &[],
        -1,
    );
    let steered: Vec<u32> = (0..7).map(|sheet| b.row(AA, [0; 4], &[], &[], sheet)).collect();
    let chain = record(&NAME, 5, 30, &name("s0.z.test"));
    let chained = b.row(AA, [1, 0, 0, 0], &chain, &[], 6);
    b.name("z.test", &[(6, soa_row), (15, big)], nodata, nxdomain);
    b.name("static.z.test", &[(1, a)], nodata, nxdomain);
    b.name("big.z.test", &[(15, big), (16, lean)], nodata, nxdomain);
    let star = b.name("*.w.z.test", &[(1, a)], nodata, nxdomain) as i32;
    b.name("w.z.test", &[], nodata, star);
    b.name("cut.z.test", &[], referral, !(referral as i32));
    b.name("moved.z.test", &[], nodata, !(moved as i32));
    b.name("round.z.test", &[], nodata, !(round as i32));
    for (i, row) in steered.iter().enumerate() {
        b.name(
            &format!("s{i}.z.test"),
            &[(1, *row), (28, steered[5])],
            nodata,
            nxdomain,
        );
    }
    b.name("alias.z.test", &[(1, chained)], nodata, nxdomain);
    b.name(&longest(), &[(1, steered[2])], nodata, nxdomain);
    b.parts
}

fn set(pick: Pick, members: usize, count: usize, order: Vec<u16>, owner: &[u8]) -> AnswerSet {
    let one: Vec<u8> = (0..members)
        .flat_map(|i| record(owner, 1, 60, &[198, 51, 100, i as u8]))
        .collect();
    let each = (owner.len() + 14) as u32;
    AnswerSet {
        pick,
        count,
        members,
        rrs: one.repeat(2),
        at: (0..=2 * members as u32).map(|i| i * each).collect(),
        weights: (1..=members as u32).map(|i| 3 * i).collect(),
        order,
        ttl: 60,
        ttl_min: 5,
        ttl_at: owner.len() + 4,
        change_at: if count > 1 { 1_700_000_030 } else { 0 },
        slot: 1,
        state: members % 3,
    }
}

/// An answer set of every kind, by sheet.
pub fn sets() -> Vec<AnswerSet> {
    vec![
        set(Pick::Weighted, 3, 1, (0..9).map(|i| i / 3).collect(), &NAME),
        set(Pick::Weighted, 5, 2, vec![], &NAME),
        set(Pick::Turns, 4, 4, vec![0, 1, 2, 3], &NAME),
        set(
            Pick::Sticky,
            2,
            1,
            (0..SLOTS as u16).map(|i| i % 2).collect(),
            &NAME,
        ),
        set(Pick::Fixed, 60, 60, vec![], &NAME),
        set(Pick::Fixed, 0, 0, vec![], &NAME),
        set(Pick::Weighted, 40, 1, vec![], &name("s0.z.test")),
    ]
}

/// The SOA of what is not there.
pub fn soa() -> Vec<u8> {
    let rdata = [name("ns.z.test"), name("h.z.test"), vec![0; 20]].concat();
    record(&name("z.test"), 6, 30, &rdata)
}

/// A table of parts, and of sets by sheet; or what is wrong with them.
pub fn table_of(parts: Parts, sets: Vec<AnswerSet>, soa: &[u8]) -> Result<Table, Unsound> {
    let names = Arc::new(Names::of(parts)?);
    let sheet = |set: AnswerSet| {
        let set = set.sound()?;
        let mut sheet = Sheet::new(0, set.pick == Pick::Sticky, soa.to_vec(), 30)?;
        sheet.fill(0, set.clone());
        sheet.fill(1, set);
        Ok(Arc::new(sheet))
    };
    let sheets: Vec<_> = sets.into_iter().map(sheet).collect::<Result<_, _>>()?;
    ensure(sheets.len() >= names.sheets(), "rows name more sheets")?;
    Ok(Table { names, sheets })
}

/// The table, and who classifies: the last bit of a client's /24 or /48.
pub fn table() -> Table {
    table_of(parts(), sets(), &soa()).expect("a sound table")
}

/// See `table`.
pub struct Halves;

impl Classify for Halves {
    fn find(&self, _plan: u32, subnet: &Subnet) -> Option<(u32, u8)> {
        let (shift, scope) = if subnet.family == 4 { (8, 24) } else { (80, 48) };
        Some(((subnet.address >> shift & 1) as u32, scope))
    }
}

/// Counters of nothing but turns.
#[derive(Default)]
pub struct Turns(u64);

impl Counts for Turns {
    fn take(&mut self, _slot: u32) -> u64 {
        self.0 += 1;
        self.0
    }

    fn aside(&mut self, _cause: Cause) {}

    fn cookie(&mut self, _state: State) {}
}

/// Terms in which everything is spoken of.
pub fn terms() -> Terms {
    Terms {
        payload: 1232,
        identity: false,
        nsid: Some(vec![b'i'; 128]), // as many as the settings allow
        cookies: Some(Cookies {
            secrets: vec![[1; 16], [2; 16]],
            require: false,
        }),
        resolvers: Some(Networks::parse(["10.0.0.0/8", "2001:db8::/32"]).expect("networks")),
        idle: 100,
        transfers: true,
        signed: false,
        states: true,
    }
}

/// Ask, and hold the reply to what holds of every one.
pub fn ask(table: &Table, terms: &Terms, arrival: &Arrival<'_>) -> Option<Vec<u8>> {
    let (outcome, out) = asked(table, terms, arrival);
    let silent = arrival.packet.len() < HEADER || arrival.packet[2] & 0x80 != 0;
    assert_eq!(outcome, if silent { Outcome::Silence } else { Outcome::Reply });
    (!silent).then_some(out)
}

/// What becomes of a packet; a reply is held to what holds of every one.
pub fn asked(table: &Table, terms: &Terms, arrival: &Arrival<'_>) -> (Outcome, Vec<u8>) {
    let mut out = Vec::new();
    let replay = Replay {
        table,
        terms,
        places: &Halves,
    };
    let outcome = replay.answer(arrival, &mut Turns::default(), &mut out);
    if outcome == Outcome::Reply {
        hold(arrival, &out);
    }
    (outcome, out)
}

fn hold(arrival: &Arrival<'_>, out: &[u8]) {
    let packet = arrival.packet;
    let query = wire::parse(packet);
    let asked = query
        .as_ref()
        .ok()
        .and_then(|query| query.opt)
        .map(|opt| word(opt, 3).max(512));
    let room = if arrival.limit == STREAM {
        STREAM
    } else {
        asked.unwrap_or(512).min(arrival.limit)
    };
    assert!(
        out.len() <= room.max(512).into(),
        "{} octets, room for {room}",
        out.len()
    );
    assert_eq!(out[..2], packet[..2], "the id");
    assert_eq!(out[2] & 0x80, 0x80, "a reply");
    assert_eq!(out[2] & 0x79, packet[2] & 0x79, "the opcode and RD");
    assert_eq!(out[3] & 0xF0, 0, "neither RA nor AD nor CD");
    let mut at = HEADER;
    if word(out, 4) == 1 {
        let end = query.expect("who echoes a question could read it").end;
        assert_eq!(out[HEADER..end], packet[HEADER..end], "the question");
        at = end;
    }
    for _ in 0..word(out, 6) + word(out, 8) + word(out, 10) {
        let behind = skip_name(out, at, at).expect("an owner");
        at = behind + 10 + usize::from(word(out, behind + 8));
    }
    assert_eq!(at, out.len(), "nothing behind the last record");
}

fn query(name: &[u8], rtype: u16, opt: &[u8]) -> Vec<u8> {
    let header = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(!opt.is_empty())];
    [&header, name, &rtype.to_be_bytes(), &[0, 1], opt].concat()
}

/// Queries of every kind about it.
pub fn queries() -> Vec<Vec<u8>> {
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
    let all = [
        &[
            0, 0, 41, 2, 0, 0, 0, 0, 0, 0, 40, 0, 3, 0, 0, 0, 10, 0, 8, 7, 7, 7, 7, 7, 7, 7, 7, 0, 8, 0, 20,
        ][..],
        &[
            0, 2, 128, 0, 0x20, 1, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
        ],
    ];
    let most = query(&name(&longest()), 1, &all.concat());
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
        .chain([most])
        .collect()
}
