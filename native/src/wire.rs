//! DNS messages as octets: a bounded parser of queries (RFC 1035 §4.1), as in `geodns.core.wire`.
//!
//! Hostile input is a value. No loop runs longer than the message, no pointer is followed.

use crate::counts::Cause;

/// Octets of a header.
pub const HEADER: usize = 12;
const MAX_NAME: usize = 255;
const MAX_RECORDS: usize = 16;

/// Response codes.
pub mod rcode {
    #![allow(missing_docs)]
    pub const NOERROR: u8 = 0;
    pub const FORMERR: u8 = 1;
    pub const NOTIMP: u8 = 4;
    pub const REFUSED: u8 = 5;
    pub const YXDOMAIN: u8 = 6;
    pub const BADVERS: u16 = 16;
    pub const BADCOOKIE: u16 = 23;
}

/// Opcodes.
pub mod opcode {
    #![allow(missing_docs)]
    pub const QUERY: u8 = 0;
    pub const NOTIFY: u8 = 4;
    pub const UPDATE: u8 = 5;
}

/// Types of records, and of questions.
pub mod rtype {
    #![allow(missing_docs)]
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const PTR: u16 = 12;
    pub const MX: u16 = 15;
    pub const DNAME: u16 = 39;
    pub const OPT: u16 = 41;
    pub const TSIG: u16 = 250;
    pub const IXFR: u16 = 251;
    pub const AXFR: u16 = 252;
}

/// Classes.
pub mod class {
    #![allow(missing_docs)]
    pub const IN: u16 = 1;
    pub const CH: u16 = 3;
    pub const ANY: u16 = 255;
}

/// Bits of the header's second word.
pub mod flag {
    #![allow(missing_docs)]
    pub const QR: u16 = 0x8000;
    pub const AA: u16 = 0x0400;
    pub const TC: u16 = 0x0200;
    pub const RD: u16 = 0x0100;
}

/// A readable query. Offsets are those in the packet; without a question `name` is empty and `end` 12.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// The name as asked, with its final zero octet.
    pub name: &'a [u8],
    /// The type asked for.
    pub qtype: u16,
    /// The class asked for.
    pub qclass: u16,
    /// Behind the question.
    pub end: usize,
    /// The OPT record, owner and all.
    pub opt: Option<&'a [u8]>,
    /// Whether there is a TSIG record.
    pub tsig: bool,
}

/// The 16 bits at an offset; 0 where the packet ends before.
pub fn word(packet: &[u8], at: usize) -> u16 {
    match packet.get(at..at + 2) {
        Some(octets) => u16::from_be_bytes([octets[0], octets[1]]),
        None => 0,
    }
}

/// The offset behind an uncompressed name, or None where there is none within 255 octets.
pub fn name_end(packet: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    while at < packet.len() && at - start < MAX_NAME {
        let length = packet[at] as usize;
        at += 1 + length;
        if length == 0 {
            return Some(at);
        }
        if length > 63 {
            return None;
        }
    }
    None
}

/// The offset behind a name that may end in a pointer to an octet before `before`. It is not followed.
pub fn skip_name(packet: &[u8], start: usize, before: usize) -> Option<usize> {
    let mut at = start;
    while at < packet.len() && at - start < MAX_NAME {
        let length = packet[at] as usize;
        if length >= 0xC0 {
            let whole = at + 2 <= packet.len();
            return (whole && ((word(packet, at) & 0x3FFF) as usize) < before).then_some(at + 2);
        }
        at += 1 + length;
        if length == 0 {
            return Some(at);
        }
        if length > 63 {
            return None;
        }
    }
    None
}

/// The offset behind a record at `start` of a table's body, and the one behind its owner; None where there is none.
///
/// Its owner is the question's name, as the pointer 0xC00C, or written out.
pub fn record(body: &[u8], start: usize) -> Option<(usize, usize)> {
    let owner_end = match word(body, start) {
        0xC00C => start + 2,
        _ => name_end(body, start)?,
    };
    let fixed = body.get(owner_end..owner_end + 10)?;
    let end = owner_end + 10 + word(fixed, 8) as usize;
    (end <= body.len()).then_some((end, owner_end))
}

/// Whether a table's body is so many records.
pub fn holds(body: &[u8], count: usize) -> bool {
    let end = (0..count).try_fold(0, |at, _| record(body, at).map(|(end, _)| end));
    end == Some(body.len())
}

/// What of a message cannot be read; `end` is behind the question where that much could be, else 12.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong.
    pub why: Cause,
    /// See above.
    pub end: usize,
}

/// Read a query of at least 12 octets. Records other than OPT and TSIG are skipped.
pub fn parse(packet: &[u8]) -> Result<Query<'_>, Malformed> {
    let malformed = |why, end| Malformed { why, end };
    let questions = word(packet, 4);
    if questions > 1 {
        return Err(malformed(Cause::QuestionCount, HEADER));
    }
    let mut end = HEADER;
    if questions == 1 {
        end = name_end(packet, HEADER).map_or(0, |name| name + 4);
        if end < HEADER || end > packet.len() {
            return Err(malformed(Cause::Question, HEADER));
        }
    }
    let others = word(packet, 6) as usize + word(packet, 8) as usize;
    let records = others + word(packet, 10) as usize;
    if records > MAX_RECORDS {
        return Err(malformed(Cause::RecordCount, end));
    }
    let (mut opt, mut tsig, mut at) = (None, false, end);
    for number in 0..records {
        let start = at;
        let Some(owner_end) = skip_name(packet, at, at) else {
            return Err(malformed(Cause::Record, end));
        };
        at = owner_end + 10 + word(packet, owner_end + 8) as usize;
        if at > packet.len() {
            return Err(malformed(Cause::Record, end));
        }
        match word(packet, owner_end) {
            rtype::OPT => {
                // RFC 6891 §6.1.1: one, additional, of the root
                if opt.is_some() || owner_end != start + 1 || number < others {
                    return Err(malformed(Cause::Opt, end));
                }
                opt = Some(&packet[start..at]);
            }
            rtype::TSIG if number >= others => {
                if number + 1 < records {
                    return Err(malformed(Cause::Tsig, end)); // RFC 8945 §5.1: the last one
                }
                tsig = true;
            }
            _ => (),
        }
    }
    if questions == 0 {
        if opt.is_none() {
            return Err(malformed(Cause::QuestionCount, HEADER));
        }
        return Ok(Query {
            name: &[],
            qtype: 0,
            qclass: class::IN,
            end,
            opt,
            tsig,
        });
    }
    let (qtype, qclass) = (word(packet, end - 4), word(packet, end - 2));
    Ok(Query {
        name: &packet[HEADER..end - 4],
        qtype,
        qclass,
        end,
        opt,
        tsig,
    })
}
