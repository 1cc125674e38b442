//! From a packet to a question, and all that is decided without the data, as in `geodns.core.reception`.

use std::net::IpAddr;

use crate::cookies::Examined;
use crate::counts::{Cause, Counts, State};
use crate::edns::{self, Edns, code, extended};
use crate::fit::STREAM;
use crate::terms::Terms;
use crate::wire::{self, HEADER, Query, class, opcode, rcode, rtype};

/// A packet and all that its reply depends on beside the table.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// As it came.
    pub packet: &'a [u8],
    /// Its source.
    pub client: IpAddr,
    /// The transport's ceiling in octets; 65535: a stream.
    pub limit: u16,
    /// 32 uniform bits.
    pub chance: u32,
    /// Unix seconds.
    pub now: u64,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reply was written.
    Reply,
    /// There is none.
    Silence,
    /// Python is to answer.
    Pass,
    /// Python is to make the answer set of a class first. Nothing was counted.
    Missing {
        /// Whose set it is.
        sheet: u32,
        /// Which class it is of.
        class: u32,
    },
}

/// A query, its OPT record, and the cookie that this one brought along.
pub struct Asked<'a> {
    /// The question.
    pub query: Query<'a>,
    /// What its OPT record says, if there is one.
    pub edns: Option<Edns<'a>>,
    /// What its cookie comes to, if there is one, and if they are spoken of.
    pub cookie: Option<Examined>,
}

impl Asked<'_> {
    /// Write the OPT record of the reply, if one is due; `scope`: of a Client Subnet option that is echoed.
    pub fn opt(&self, out: &mut Vec<u8>, terms: &Terms, limit: u16, scope: Option<u8>, rcode: u16) {
        let Some(edns) = &self.edns else { return };
        if let (Some(scope), Some(asked), None, false, false) =
            (scope, edns.subnet_option, &self.cookie, edns.nsid, edns.keepalive)
        {
            return edns::with_subnet(out, terms.payload, edns.dnssec_ok, rcode, asked, scope);
        }
        let start = out.len();
        edns::open(out, terms.payload, edns.dnssec_ok, rcode);
        if let (Some(scope), Some(asked)) = (scope, edns.subnet_option) {
            edns::reply_subnet(out, asked, scope);
        }
        if let Some(cookie) = &self.cookie {
            edns::option(out, code::COOKIE, &[&cookie.value]);
        }
        if let (true, Some(nsid)) = (edns.nsid, &terms.nsid) {
            edns::option(out, code::NSID, &[nsid]);
        }
        if edns.keepalive && terms.idle != 0 && limit == STREAM {
            edns::option(out, code::KEEPALIVE, &[&terms.idle.to_be_bytes()]);
        }
        edns::close(out, start);
    }

    /// Put an extended error (RFC 8914) behind the options of the OPT record that begins at `start`, if any.
    pub fn extend(&self, out: &mut Vec<u8>, start: usize, error: u16, text: &str) {
        if self.edns.is_some() {
            edns::option(
                out,
                code::EXTENDED_ERROR,
                &[&error.to_be_bytes(), text.as_bytes()],
            );
            edns::close(out, start);
        }
    }

    fn state(&self) -> Option<State> {
        self.cookie.as_ref().map(|examined| examined.state)
    }
}

/// The question of a packet that the data is to answer; or what became of the packet at once.
pub fn read<'a>(
    terms: &Terms,
    arrival: &Arrival<'a>,
    counts: &mut impl Counts,
    out: &mut Vec<u8>,
) -> Result<Asked<'a>, Outcome> {
    let mut asked = asked(terms, arrival, counts, out)?;
    let mut reply = |asked: &Asked<'_>, cause, rcode: u16| {
        asked.state().inspect(|state| counts.cookie(*state));
        beside(
            out,
            arrival.packet,
            asked.query.end,
            rcode as u8 & 15,
            asked.edns.is_some(),
        );
        let scope = (rcode != rcode::BADCOOKIE).then_some(0);
        asked.opt(out, terms, arrival.limit, scope, rcode);
        counts.aside(cause);
        Err(Outcome::Reply)
    };
    let query = &asked.query;
    if query.tsig && terms.signed {
        return Err(Outcome::Pass);
    }
    if wants_cookie(terms, &asked, arrival.limit) {
        return reply(&asked, Cause::Cookie, rcode::BADCOOKIE);
    }
    if query.name.is_empty() {
        return match asked.cookie {
            None => reply(&asked, Cause::QuestionCount, rcode::FORMERR.into()),
            Some(_) => reply(&asked, Cause::NoQuestion, rcode::NOERROR.into()),
        };
    }
    match query.qclass {
        class::IN | class::ANY => (),
        class::CH if terms.identity => return Err(Outcome::Pass),
        _ => return reply(&asked, Cause::Class, rcode::REFUSED.into()),
    }
    if query.qtype == rtype::AXFR || query.qtype == rtype::IXFR {
        if !terms.transfers || query.qtype == rtype::AXFR || arrival.limit == STREAM {
            return reply(&asked, Cause::Transfer, rcode::REFUSED.into());
        }
        asked.query.qtype = rtype::SOA; // RFC 1995 §2: who has another serial comes by TCP
    }
    Ok(asked)
}

/// The reply where no zone holds the name.
pub fn outside(
    terms: &Terms,
    arrival: &Arrival<'_>,
    asked: &Asked<'_>,
    counts: &mut impl Counts,
    out: &mut Vec<u8>,
) -> Outcome {
    settle(asked, counts);
    beside(
        out,
        arrival.packet,
        asked.query.end,
        rcode::REFUSED,
        asked.edns.is_some(),
    );
    let start = out.len();
    asked.opt(out, terms, arrival.limit, Some(0), 0);
    asked.extend(out, start, extended::NOT_AUTHORITATIVE, "");
    counts.aside(Cause::Zone);
    Outcome::Reply
}

/// Count what was looked at of a query that gets its reply now.
pub fn settle(asked: &Asked<'_>, counts: &mut impl Counts) {
    if let Some(state) = asked.state() {
        counts.cookie(state);
    }
}

/// The query in a packet, or what became of what is none.
fn asked<'a>(
    terms: &Terms,
    arrival: &Arrival<'a>,
    counts: &mut impl Counts,
    out: &mut Vec<u8>,
) -> Result<Asked<'a>, Outcome> {
    let packet = arrival.packet;
    if packet.len() < HEADER || packet[2] & 0x80 != 0 {
        counts.aside(Cause::Silence);
        return Err(Outcome::Silence);
    }
    let mut reply = |out: &mut Vec<u8>, cause, end, rcode, opt: Option<(bool, u16)>| {
        beside(out, packet, end, rcode, opt.is_some());
        if let Some((dnssec_ok, extended)) = opt {
            edns::open(out, terms.payload, dnssec_ok, extended);
        }
        counts.aside(cause);
        Err(Outcome::Reply)
    };
    let code = packet[2] >> 3;
    let other = match code {
        opcode::QUERY => None,
        opcode::NOTIFY => Some(Cause::Notify),
        opcode::UPDATE => Some(Cause::Update),
        _ => return reply(out, Cause::Opcode, HEADER, rcode::NOTIMP, None),
    };
    let query = match wire::parse(packet) {
        Ok(query) => query,
        // An UPDATE has other sections than a query, as long as they like (RFC 2136 §2).
        Err(_) if code == opcode::UPDATE => {
            return reply(out, Cause::Update, HEADER, rcode::REFUSED, None);
        }
        Err(malformed) => return reply(out, malformed.why, HEADER, rcode::FORMERR, None),
    };
    let (mut edns, mut cookie) = (None, None);
    if let Some(opt) = query.opt {
        match with_cookie(terms, arrival, opt) {
            Ok((read, examined)) => (edns, cookie) = (Some(read), examined),
            Err(cause) => {
                let opt = Some((edns::asks_do(opt), 0));
                return reply(out, cause, query.end, rcode::FORMERR, opt);
            }
        }
    }
    if let Some(Edns {
        version: 1..,
        dnssec_ok,
        ..
    }) = edns
    {
        return reply(
            out,
            Cause::Version,
            query.end,
            0,
            Some((dnssec_ok, rcode::BADVERS)),
        );
    }
    let asked = Asked { query, edns, cookie };
    if let Some(cause) = other {
        settle(&asked, counts);
        beside(out, packet, query.end, rcode::REFUSED, edns.is_some());
        asked.opt(out, terms, arrival.limit, Some(0), 0);
        counts.aside(cause);
        return Err(Outcome::Reply);
    }
    Ok(asked)
}

/// What an OPT record asks for, as far as its source may ask it, and what its cookie comes to.
fn with_cookie<'a>(
    terms: &Terms,
    arrival: &Arrival<'a>,
    opt: &'a [u8],
) -> Result<(Edns<'a>, Option<Examined>), Cause> {
    let mut edns = edns::parse(opt)?;
    if edns.subnet_option.is_some() && !terms.believes(arrival.client) {
        (edns.subnet, edns.subnet_option) = (None, None);
    }
    let (Some(value), Some(cookies)) = (edns.cookie, &terms.cookies) else {
        return Ok((edns, None));
    };
    match cookies.examine(value, arrival.client, arrival.now) {
        Some(examined) => Ok((edns, Some(examined))),
        None => Err(Cause::CookieOption),
    }
}

/// Whether the client is to come again with the cookie that it is given (RFC 7873 §5.2.3, §5.4).
fn wants_cookie(terms: &Terms, asked: &Asked<'_>, limit: u16) -> bool {
    let (Some(state), Some(cookies)) = (asked.state(), &terms.cookies) else {
        return false;
    };
    let alone = asked.query.name.is_empty() && state == State::Bad;
    state != State::Good && (cookies.require && limit != STREAM || alone)
}

/// Header and question of a reply beside the data: id, opcode and RD copied, the question where it was read.
fn beside(out: &mut Vec<u8>, packet: &[u8], end: usize, rcode: u8, opt: bool) {
    let asked = (end > HEADER) as u8;
    out.extend_from_slice(&[packet[0], packet[1], 0x80 | packet[2] & 0x79, rcode]);
    out.extend_from_slice(&[0, asked, 0, 0, 0, 0, 0, opt as u8]);
    out.extend_from_slice(&packet[HEADER..end]);
}

/// Whether a packet brings a good cookie along: its source is not forged.
pub fn knows(terms: &Terms, packet: &[u8], client: IpAddr, now: u64) -> bool {
    let Some(cookies) = &terms.cookies else {
        return false;
    };
    let Some(opt) = wire::parse(packet).ok().and_then(|query| query.opt) else {
        return false;
    };
    let cookie = edns::parse(opt).ok().and_then(|edns| edns.cookie);
    let examined = cookie.and_then(|cookie| cookies.examine(cookie, client, now));
    examined.is_some_and(|examined| examined.state == State::Good)
}
