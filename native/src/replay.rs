//! The query's whole way: a packet in, the answer's octets out, from the table alone (`geodns.core.replay`).
//!
//! Header, question, name, answer, class of the client, pick, copy, patch. The same packet, client, chance and
//! moment give the same octets as in Python, whatever was asked before.

use crate::counts::Counts;
use crate::dname::Path;
use crate::edns::{self, extended};
use crate::fit::{FLOOR, fitting, room};
use crate::picks::{draw, mix, slot_of};
use crate::place::Classify;
pub use crate::reception::{Arrival, Outcome};
use crate::reception::{Asked, outside, read, settle};
use crate::table::{AnswerSet, FLAG_DNAME, FLAG_NO_SUBNET, Pick, Row, STATES, Sheet, Table};
use crate::terms::Terms;
use crate::wire::{HEADER, flag, name_end};

/// What answers packets: a table, what was agreed with clients, who knows their classes.
pub struct Replay<'a, P> {
    /// What is answered.
    pub table: &'a Table,
    /// What was agreed.
    pub terms: &'a Terms,
    /// Who knows classes.
    pub places: &'a P,
}

/// A steered answer before it is drawn.
struct Steered<'a> {
    sheet: &'a Sheet,
    set: &'a AnswerSet,
    slot: usize,
    /// What the Client Subnet option of the reply says, where one was asked for.
    scope: Option<u8>,
}

/// The counts of a reply's sections, before its OPT record.
#[derive(Clone, Copy, Default)]
struct Sections {
    an: u16,
    ns: u16,
    ar: u16,
}

impl<P: Classify> Replay<'_, P> {
    /// Write the reply to a packet into `out`, which is emptied first.
    pub fn answer(&self, arrival: &Arrival<'_>, counts: &mut impl Counts, out: &mut Vec<u8>) -> Outcome {
        out.clear();
        let asked = match read(self.terms, arrival, counts, out) {
            Ok(asked) => asked,
            Err(outcome) => return outcome,
        };
        let mut folded = [0; 256];
        let name = &mut folded[..asked.query.name.len()];
        name.copy_from_slice(asked.query.name);
        name.make_ascii_lowercase();
        let Some(answer) = self.table.names.find(name, asked.query.qtype) else {
            return outside(self.terms, arrival, &asked, counts, out);
        };
        let row = self.table.names.row(answer);
        if row.flags & FLAG_DNAME != 0 {
            return self.redirect(arrival, &asked, row, counts, out);
        }
        if row.sheet < 0 {
            counts.take(row.slot);
            settle(&asked, counts);
            self.fixed(arrival, &asked, row, out);
            return Outcome::Reply;
        }
        let steered = match self.steer(arrival, &asked, row) {
            Ok(steered) => steered,
            Err(outcome) => return outcome,
        };
        counts.take(row.slot);
        settle(&asked, counts);
        let sections = steered.sections(row);
        head(
            out,
            arrival.packet,
            asked.query.end,
            row.flags,
            sections,
            asked.edns.is_some(),
        );
        out.extend_from_slice(self.table.names.bodies(row).1);
        steered.draw(arrival, counts, out);
        let body_end = out.len();
        self.steered_opt(arrival, &asked, &steered, out);
        self.fit(arrival, &asked, body_end, &[(body_end, sections)], row.flags, out);
        Outcome::Reply
    }

    /// The reply that everybody gets.
    fn fixed(&self, arrival: &Arrival<'_>, asked: &Asked<'_>, row: &Row, out: &mut Vec<u8>) {
        let (lean, body) = self.table.names.bodies(row);
        let end = asked.query.end;
        let whole = Sections {
            an: row.an,
            ns: row.ns,
            ar: row.ar + row.more,
        };
        head(out, arrival.packet, end, row.flags, whole, asked.edns.is_some());
        out.extend_from_slice(body);
        let body_end = out.len();
        asked.opt(out, self.terms, arrival.limit, flat(row), 0);
        let without = Sections { ar: row.ar, ..whole };
        let parts = [(body_end, whole), (end + lean.len(), without)];
        let parts = if row.more != 0 { &parts[..] } else { &parts[..1] };
        self.fit(arrival, asked, body_end, parts, row.flags, out);
    }

    /// The class of the client and the answer set of that class.
    fn steer(&self, arrival: &Arrival<'_>, asked: &Asked<'_>, row: &Row) -> Result<Steered<'_>, Outcome> {
        let sheet = &*self.table.sheets[row.sheet as usize];
        let told = asked
            .edns
            .and_then(|edns| edns.subnet)
            .filter(|_| row.flags & FLAG_NO_SUBNET == 0);
        let subnet = told.unwrap_or_else(|| edns::source(arrival.client));
        let Some((class, mut scope)) = self.places.find(sheet.plan, &subnet) else {
            return Err(Outcome::Pass);
        };
        if sheet.sticky {
            scope = scope.max(edns::sticky_scope(&subnet));
        }
        let Some(set) = sheet.set(class) else {
            return Err(Outcome::Missing {
                sheet: row.sheet as u32,
                class,
            });
        };
        let scope = match told {
            Some(_) if scope != 0 => Some(scope + subnet.shift),
            Some(_) => Some(0),
            None => flat(row),
        };
        Ok(Steered {
            sheet,
            set,
            slot: slot_of(subnet.family, subnet.address),
            scope,
        })
    }

    /// Write the OPT record behind a steered answer.
    fn steered_opt(
        &self,
        arrival: &Arrival<'_>,
        asked: &Asked<'_>,
        steered: &Steered<'_>,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        asked.opt(out, self.terms, arrival.limit, steered.scope, 0);
        if steered.set.state != 0 && self.terms.states {
            asked.extend(out, start, extended::OTHER, STATES[steered.set.state]);
        }
    }

    /// Make a reply fit: `parts` are where its body may end, each with its counts, the longest first.
    ///
    /// The OPT record stands behind the body, which ends at `body_end`.
    fn fit(
        &self,
        arrival: &Arrival<'_>,
        asked: &Asked<'_>,
        body_end: usize,
        parts: &[(usize, Sections)],
        flags: u16,
        out: &mut Vec<u8>,
    ) {
        if out.len() <= FLOOR {
            return;
        }
        let most = room(arrival.limit, asked.edns.map(|edns| edns.payload));
        if out.len() <= most {
            return;
        }
        let (packet, end, edns) = (arrival.packet, asked.query.end, asked.edns.is_some());
        let opt = out[body_end..].to_vec();
        let whole = out[end..body_end].to_vec();
        let left = most as isize - (end + opt.len()) as isize;
        for (part_end, sections) in parts {
            let body = &whole[..*part_end - end];
            let tight;
            let body = if body.len() as isize <= left {
                body
            } else if let Some(found) = fitting(end, body, left, asked.query.name) {
                tight = found;
                &tight
            } else {
                continue;
            };
            out.clear();
            head(out, packet, end, flags, *sections, edns);
            out.extend_from_slice(body);
            out.extend_from_slice(&opt);
            return;
        }
        truncate(arrival, asked, flags, &opt, out);
    }

    /// The reply for a name below a DNAME: the way there, then the answer of the name it leads to.
    fn redirect(
        &self,
        arrival: &Arrival<'_>,
        asked: &Asked<'_>,
        first: &Row,
        counts: &mut impl Counts,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let mut path = Path::new(asked.query.name, asked.query.qtype);
        let Some(last) = self.lead(first, &mut path) else {
            return Outcome::Pass;
        };
        let mut opt = Vec::new();
        let mut body = Vec::new();
        let mut sections = Sections::default();
        if last.flags & FLAG_DNAME == 0 && last.sheet >= 0 {
            let steered = match self.steer(arrival, asked, last) {
                Ok(steered) => steered,
                Err(outcome) => return outcome,
            };
            sections = steered.sections(last);
            body.extend_from_slice(self.table.names.bodies(last).1);
            steered.draw(arrival, counts, &mut body);
            self.steered_opt(arrival, asked, &steered, &mut opt);
        } else {
            asked.opt(&mut opt, self.terms, arrival.limit, flat(first), 0);
            if last.flags & FLAG_DNAME == 0 {
                sections = Sections {
                    an: last.an,
                    ns: last.ns,
                    ar: last.ar,
                };
                body.extend_from_slice(self.table.names.bodies(last).0);
            }
        }
        let most = room(arrival.limit, asked.edns.map(|edns| edns.payload));
        if last.flags & FLAG_DNAME == 0 {
            let rest = most as isize - opt.len() as isize;
            if path.arrive(&body, sections.an, rest).is_none() {
                return Outcome::Pass;
            }
            path.rcode = (last.flags & 15) as u8;
        }
        counts.take(first.slot);
        settle(asked, counts);
        let flags = flag::AA | u16::from(path.rcode);
        sections.an = path.count;
        head(
            out,
            arrival.packet,
            asked.query.end,
            flags,
            sections,
            asked.edns.is_some(),
        );
        out.extend_from_slice(&path.records);
        out.extend_from_slice(&opt);
        if out.len() > most {
            truncate(arrival, asked, flags, &opt, out);
        }
        Outcome::Reply
    }

    /// Follow a DNAME; what it ends in is one itself where the way goes no farther here.
    fn lead<'b>(&'b self, first: &'b Row, path: &mut Path) -> Option<&'b Row> {
        let mut row = first;
        while row.flags & FLAG_DNAME != 0 {
            path.follow(self.table.names.bodies(row).0)?;
            if !path.open {
                break;
            }
            let Some(next) = self
                .table
                .names
                .find(&path.name.to_ascii_lowercase(), path.qtype())
            else {
                break;
            };
            row = self.table.names.row(next);
        }
        Some(row)
    }
}

impl Steered<'_> {
    fn sections(&self, row: &Row) -> Sections {
        if self.set.members == 0 {
            return Sections {
                an: row.an,
                ns: 1,
                ar: 0,
            };
        }
        Sections {
            an: row.an + self.set.count as u16,
            ns: 0,
            ar: 0,
        }
    }

    /// Draw an answer, count it, write its records (of an empty set: the SOA that says so).
    fn draw(&self, arrival: &Arrival<'_>, counts: &mut impl Counts, out: &mut Vec<u8>) {
        let set = self.set;
        let turn = counts.take(set.slot);
        let ttl = set.ttl_at_time(arrival.now);
        if set.members == 0 {
            self.put_empty(ttl, out);
            return;
        }
        let total = set.weights.last().copied().unwrap_or(1);
        let start = match set.pick {
            Pick::Fixed => 0,
            Pick::Weighted if !set.order.is_empty() => set.order[draw(arrival.chance, total) as usize].into(),
            Pick::Weighted if set.count == 1 || set.count == set.members => {
                let drawn = draw(arrival.chance, total);
                set.weights.partition_point(|&weight| weight <= drawn)
            }
            Pick::Weighted => return self.several(arrival.chance, ttl, out),
            Pick::Turns => set.order[(turn % set.order.len() as u64) as usize].into(),
            Pick::Sticky => set.order[self.slot].into(),
        };
        match ttl {
            None => out.extend_from_slice(set.records(start)),
            Some(_) => (start..start + set.count).for_each(|member| self.put(member, ttl, out)),
        }
    }

    /// `count` different members drawn by weight, one after the other, each draw without those before it.
    fn several(&self, mut chance: u32, ttl: Option<u32>, out: &mut Vec<u8>) {
        let set = self.set;
        let before = std::iter::once(&0).chain(&set.weights);
        let mut weights: Vec<u32> = set
            .weights
            .iter()
            .zip(before)
            .map(|(sum, less)| sum - less)
            .collect();
        let mut total: u32 = weights.iter().sum();
        for _ in 0..set.count {
            let mut rest = draw(chance, total);
            let mut member = 0;
            while rest >= weights[member] {
                rest -= weights[member];
                member += 1;
            }
            self.put(member, ttl, out);
            total -= weights[member];
            weights[member] = 0;
            chance = mix(chance.into()) as u32;
        }
    }

    fn put(&self, member: usize, ttl: Option<u32>, out: &mut Vec<u8>) {
        let (set, start) = (self.set, out.len());
        out.extend_from_slice(&set.rrs[set.at[member] as usize..set.at[member + 1] as usize]);
        if let Some(ttl) = ttl {
            let at = start + set.ttl_at;
            out[at..at + 4].copy_from_slice(&ttl.min(set.ttl).to_be_bytes());
        }
    }

    fn put_empty(&self, ttl: Option<u32>, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.sheet.empty);
        if let (Some(ttl), Some(end)) = (ttl, name_end(&self.sheet.empty, 0)) {
            let at = start + end + 4;
            out[at..at + 4].copy_from_slice(&ttl.min(self.sheet.empty_ttl).to_be_bytes());
        }
    }
}

/// The scope of an answer in which the client's place had no part; None where the zone leaves it out.
fn flat(row: &Row) -> Option<u8> {
    (row.flags & FLAG_NO_SUBNET == 0).then_some(0)
}

/// Header and question of an answer.
fn head(out: &mut Vec<u8>, packet: &[u8], end: usize, flags: u16, sections: Sections, opt: bool) {
    let desired = u16::from(packet[2] & 1) << 8;
    let word = ((flags & !(FLAG_DNAME | FLAG_NO_SUBNET)) | flag::QR | desired).to_be_bytes();
    let [an, ns, ar] = [sections.an, sections.ns, sections.ar + u16::from(opt)].map(u16::to_be_bytes);
    let [id, counts] = [[packet[0], packet[1]], [0, 1]];
    let header = [id, word, counts, an, ns, ar];
    out.extend_from_slice(header.as_flattened());
    out.extend_from_slice(&packet[HEADER..end]);
}

/// A reply that says no more than that it does not fit (RFC 2181 §9).
fn truncate(arrival: &Arrival<'_>, asked: &Asked<'_>, flags: u16, opt: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let (end, edns) = (asked.query.end, asked.edns.is_some());
    head(
        out,
        arrival.packet,
        end,
        flags | flag::TC,
        Sections::default(),
        edns,
    );
    out.extend_from_slice(opt);
}
