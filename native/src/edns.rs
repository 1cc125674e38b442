//! EDNS(0) (RFC 6891) and Client Subnet (RFC 7871): an OPT record in, what to answer with out.
//!
//! As in `geodns.core.edns`.

use std::net::IpAddr;

use crate::counts::Cause;
use crate::subnet::Subnet;
use crate::wire::word;

/// Options of an OPT record.
pub mod code {
    #![allow(missing_docs)]
    pub const NSID: u16 = 3;
    pub const CLIENT_SUBNET: u16 = 8;
    pub const COOKIE: u16 = 10;
    pub const KEEPALIVE: u16 = 11;
    pub const EXTENDED_ERROR: u16 = 15;
}

/// Extended errors (RFC 8914).
pub mod extended {
    #![allow(missing_docs)]
    pub const OTHER: u16 = 0;
    pub const NOT_AUTHORITATIVE: u16 = 20;
}

const FLOOR: u16 = 512;
const MAX_OPTIONS: usize = 64;
/// Octets of an OPT record before its options.
const FIXED: usize = 11;

/// A readable OPT record. Options: the value as sent. `subnet` is None too where the option said /0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Edns<'a> {
    pub payload: u16,
    pub version: u8,
    pub dnssec_ok: bool,
    pub subnet: Option<Subnet>,
    pub subnet_option: Option<&'a [u8]>,
    pub cookie: Option<&'a [u8]>,
    pub nsid: bool,
    pub keepalive: bool,
}

/// Whether an OPT record, readable or not, has the flag that replies echo (RFC 3225 §3).
pub fn asks_do(opt: &[u8]) -> bool {
    opt[7] & 0x80 != 0
}

/// Read an OPT record (owner, type and all). Of another version than 0 only the version matters.
pub fn parse(opt: &[u8]) -> Result<Edns<'_>, Cause> {
    let mut found = Edns {
        payload: word(opt, 3).max(FLOOR),
        version: opt[6],
        dnssec_ok: asks_do(opt),
        ..Edns::default()
    };
    if found.version != 0 {
        return Ok(found);
    }
    let mut at = FIXED;
    for _ in 0..MAX_OPTIONS {
        if at >= opt.len() {
            break;
        }
        let (number, size) = (word(opt, at), word(opt, at + 2) as usize);
        let Some(value) = opt.get(at + 4..at + 4 + size) else {
            return Err(Cause::Option);
        };
        at += 4 + size;
        match number {
            code::CLIENT_SUBNET => found.subnet_option = found.subnet_option.or(Some(value)),
            code::COOKIE => found.cookie = found.cookie.or(Some(value)),
            code::NSID => found.nsid = true,
            code::KEEPALIVE => found.keepalive = true,
            _ => (),
        }
    }
    if let Some(value) = found.subnet_option {
        let subnet = parse_subnet(value).ok_or(Cause::ClientSubnet)?;
        found.subnet = (subnet.prefix != 0 || subnet.shift != 0).then_some(subnet);
    }
    Ok(found)
}

/// A query's Client Subnet option (RFC 7871 §6, §7.1.2), or None where it is malformed.
pub fn parse_subnet(value: &[u8]) -> Option<Subnet> {
    let (&[_, family, source, scope], octets) = value.split_first_chunk::<4>()?;
    let bits: u8 = match word(value, 0) {
        1 => 32,
        2 => 128,
        _ => return None,
    };
    if scope != 0 || source > bits || octets.len() != (source as usize).div_ceil(8) {
        return None;
    }
    let mut whole = [0; 16];
    whole[..octets.len()].copy_from_slice(octets);
    let address = u128::from_be_bytes(whole) >> (128 - bits as u32);
    let rest = bits - source;
    if address & ones(rest) != 0 {
        return None;
    }
    let family = if family == 1 { 4 } else { 6 };
    Some(unwrap(Subnet {
        family,
        address,
        prefix: source,
        shift: 0,
    }))
}

/// The lowest `count` bits, all of them for 128.
fn ones(count: u8) -> u128 {
    1u128.checked_shl(count.into()).unwrap_or(0).wrapping_sub(1)
}

const MAPPED: u128 = 0xFFFF;
const NAT64: u128 = 0x0064_FF9B << 64;
const SIX_TO_FOUR: u128 = 0x2002;
const TEREDO: u128 = 0x2001_0000;

/// An IPv4 that an IPv6 prefix covers (mapped, 6to4, 64:ff9b::/96, Teredo) as that IPv4.
pub fn unwrap(subnet: Subnet) -> Subnet {
    let Subnet {
        family,
        address,
        prefix,
        ..
    } = subnet;
    let inside = |address: u128, prefix, shift| Subnet {
        family: 4,
        address: address & 0xFFFF_FFFF,
        prefix,
        shift,
    };
    if family == 4 {
        subnet
    } else if prefix >= 96 && (address >> 32 == MAPPED || address >> 32 == NAT64) {
        inside(address, prefix - 96, 96)
    } else if prefix >= 16 && address >> 112 == SIX_TO_FOUR {
        inside(address >> 80, 32.min(prefix - 16), 16)
    } else if prefix == 128 && address >> 96 == TEREDO {
        inside(!address, 32, 96)
    } else {
        subnet
    }
}

/// Where `unwrap` finds IPv4 addresses: prefix and length.
const EMBEDDED: [(u128, u32); 4] = [
    (MAPPED << 32, 96),
    (NAT64 << 32, 96),
    (SIX_TO_FOUR << 112, 16),
    (TEREDO << 96, 32),
];

/// The length of the largest block around a subnet in which no other address is taken for an IPv4 one.
pub fn plain(subnet: &Subnet) -> u8 {
    if subnet.family == 4 {
        return 0;
    }
    let length = |(prefix, length): (u128, u32)| {
        let common = (subnet.address ^ prefix).leading_zeros();
        if common >= length { 128 } else { common as u8 + 1 }
    };
    EMBEDDED.into_iter().map(length).max().unwrap_or(0)
}

/// Where IPv6 addresses stand for IPv4 ones: those that `unwrap` finds, and ::/96 (RFC 4291 §2.5.5.1).
const STANDING: [(u128, u32); 5] = [EMBEDDED[0], EMBEDDED[1], EMBEDDED[2], EMBEDDED[3], (0, 96)];

/// Whether an IPv6 address stands for an IPv4 one, and the length of the block around it over which that is so.
pub fn stands_for_ipv4(address: u128) -> (bool, u8) {
    let common = |prefix: u128| (address ^ prefix).leading_zeros();
    let inside = STANDING
        .iter()
        .find(|(prefix, length)| common(*prefix) >= *length);
    match inside {
        Some((_, length)) => (true, *length as u8),
        None => {
            let apart = STANDING.iter().map(|(prefix, _)| common(*prefix) as u8 + 1);
            (false, apart.max().unwrap_or(0))
        }
    }
}

/// The shortest scope of an answer that the client's network (its /24 or /56) took part in.
pub fn sticky_scope(subnet: &Subnet) -> u8 {
    if subnet.family == 4 {
        24
    } else {
        plain(subnet).max(56)
    }
}

/// The subnet of a packet's source address.
pub fn source(client: IpAddr) -> Subnet {
    match client {
        IpAddr::V4(ip) => Subnet {
            family: 4,
            address: u32::from(ip).into(),
            prefix: 32,
            shift: 0,
        },
        IpAddr::V6(ip) => unwrap(Subnet {
            family: 6,
            address: ip.into(),
            prefix: 128,
            shift: 0,
        }),
    }
}

/// Begin a reply's OPT record: our payload size, version 0, DO as asked, the upper bits of the RCODE.
///
/// What is written behind it until `close` are its options.
pub fn open(out: &mut Vec<u8>, payload: u16, dnssec_ok: bool, rcode: u16) {
    out.extend_from_slice(&fixed(payload, dnssec_ok, rcode, 0));
}

fn fixed(payload: u16, dnssec_ok: bool, rcode: u16, size: u16) -> [u8; FIXED] {
    let ([p, q], [s, t]) = (payload.to_be_bytes(), size.to_be_bytes());
    [
        0,
        0,
        41,
        p,
        q,
        (rcode >> 4) as u8,
        0,
        (dnssec_ok as u8) << 7,
        0,
        s,
        t,
    ]
}

/// A reply's OPT record with a Client Subnet option and nothing else: what most have, written at once.
pub fn with_subnet(out: &mut Vec<u8>, payload: u16, dnssec_ok: bool, rcode: u16, asked: &[u8], scope: u8) {
    const LONGEST: usize = 20; // octets of an option that was read
    let mut record = [0; FIXED + 4 + LONGEST];
    let size = asked.len();
    record[..FIXED].copy_from_slice(&fixed(payload, dnssec_ok, rcode, size as u16 + 4));
    record[FIXED + 1] = code::CLIENT_SUBNET as u8;
    record[FIXED + 3] = size as u8;
    record[FIXED + 4..FIXED + 4 + size].copy_from_slice(asked);
    record[FIXED + 7] = scope;
    out.extend_from_slice(&record[..FIXED + 4 + size]);
}

/// Set the length of the OPT record that begins at `start`, all behind which are its options.
pub fn close(out: &mut [u8], start: usize) {
    let size = (out.len() - start - FIXED) as u16;
    out[start + 9..start + FIXED].copy_from_slice(&size.to_be_bytes());
}

/// One option of an OPT record, in pieces.
pub fn option(out: &mut Vec<u8>, number: u16, pieces: &[&[u8]]) {
    let size: usize = pieces.iter().map(|p| p.len()).sum();
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&(size as u16).to_be_bytes());
    pieces.iter().for_each(|piece| out.extend_from_slice(piece));
}

/// The Client Subnet option of a reply: family, source and address echoed, with the scope.
pub fn reply_subnet(out: &mut Vec<u8>, asked: &[u8], scope: u8) {
    option(out, code::CLIENT_SUBNET, &[&asked[..3], &[scope], &asked[4..]]);
}
