//! Replies that must fit: names compressed when it gets tight (RFC 1035 §4.1.4), as in `geodns.core.fit`.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::wire::{HEADER, name_end, rtype, skip_name, word};

/// The size limit that means TCP.
pub const STREAM: u16 = 65535;
/// What every client takes.
pub const FLOOR: usize = 512;
const MAX_BODY: usize = 16384;

/// Where the names known so far stand in the message.
type Known<'a> = HashMap<&'a [u8], usize, FixedState>;

/// How long a reply may be: what the transport carries and, over UDP, the client takes.
pub fn room(limit: u16, payload: Option<u16>) -> usize {
    match payload {
        _ if limit == STREAM => STREAM.into(),
        Some(payload) => limit.min(payload).into(),
        None => FLOOR,
    }
}

/// A body short enough for `left` octets behind a question that ends at `end`, or None.
pub fn fitting(end: usize, body: &[u8], left: isize, question: &[u8]) -> Option<Vec<u8>> {
    if body.len() > MAX_BODY {
        return None;
    }
    let mut tight = compressed(end, body, &[0])?;
    let over = tight.len() as isize - left;
    if 0 < over && over < question.len() as isize {
        tight = compressed(end, body, &question.to_ascii_lowercase())?;
    }
    (tight.len() as isize <= left).then_some(tight)
}

/// The records of a body that begins at octet `start` of a message, their names compressed.
///
/// A name is compressed against those before it in the body, and against the folded name in `question`. None
/// where the body holds no records.
pub fn compressed(start: usize, body: &[u8], question: &[u8]) -> Option<Vec<u8>> {
    let mut known = suffixes(question);
    let mut out = Vec::with_capacity(body.len());
    let mut at = 0;
    while at < body.len() {
        let behind = skip_name(body, at, 0x4000)?;
        let data = behind + 10;
        let end = data + word(body, behind + 8) as usize;
        let rdata = body.get(data..end)?;
        if body[at] >= 0xC0 {
            out.extend_from_slice(&body[at..behind]);
        } else {
            name(&mut out, &body[at..behind], start, &mut known);
        }
        out.extend_from_slice(&body[behind..behind + 8]);
        let size_at = out.len();
        out.extend_from_slice(&[0, 0]);
        put_rdata(&mut out, word(body, behind), rdata, start, &mut known)?;
        let size = (out.len() - size_at - 2) as u16;
        out[size_at..size_at + 2].copy_from_slice(&size.to_be_bytes());
        at = end;
    }
    Some(out)
}

/// Where the question's name and what it ends in stand.
fn suffixes(question: &[u8]) -> Known<'_> {
    let mut found = Known::default();
    let mut at = 0;
    while question[at] != 0 {
        found.insert(&question[at..], HEADER + at);
        at += 1 + question[at] as usize;
    }
    found
}

/// What RFC 3597 §4 lets one compress, and this server has.
fn put_rdata<'a>(
    out: &mut Vec<u8>,
    kind: u16,
    rdata: &'a [u8],
    start: usize,
    known: &mut Known<'a>,
) -> Option<()> {
    let (mut at, names) = match kind {
        rtype::NS | rtype::CNAME | rtype::PTR => (0, 1),
        rtype::SOA => (0, 2),
        rtype::MX => (2, 1),
        _ => (0, 0),
    };
    out.extend_from_slice(rdata.get(..at)?);
    for _ in 0..names {
        let end = name_end(rdata, at)?;
        name(out, &rdata[at..end], start, known);
        at = end;
    }
    out.extend_from_slice(&rdata[at..]);
    Some(())
}

/// A name: its new labels, then a pointer; all its suffixes are known from now on.
fn name<'a>(out: &mut Vec<u8>, name: &'a [u8], start: usize, known: &mut Known<'a>) {
    let place = start + out.len();
    let mut at = 0;
    while name[at] != 0 {
        if let Some(found) = known.get(&name[at..]) {
            out.extend_from_slice(&name[..at]);
            out.extend_from_slice(&(0xC000 | *found as u16).to_be_bytes());
            return;
        }
        if place + at <= 0x3FFF {
            known.insert(&name[at..], place + at);
        }
        at += 1 + name[at] as usize;
    }
    out.extend_from_slice(name);
}
