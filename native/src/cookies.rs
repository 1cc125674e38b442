//! DNS Cookies (RFC 7873) of the kind that all servers can make (RFC 9018), as in `geodns.core.cookies`.

use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip::SipHasher24;

use crate::counts::State;

const CLIENT: usize = 8;
const WHOLE: usize = 24;
const LIFETIME: i64 = 3600;
const RENEWED: i64 = 1800;
const AHEAD: i64 = 300;

/// The first of the secrets makes cookies, all are accepted.
#[derive(Clone, Debug)]
pub struct Cookies {
    /// Of 16 octets each.
    pub secrets: Vec<[u8; 16]>,
    /// Over UDP a client that speaks of cookies is answered only with a good one.
    pub require: bool,
}

/// What a cookie option comes to: the option to answer with, and what was brought along.
pub struct Examined {
    /// The value of the reply's option.
    pub value: [u8; WHOLE],
    /// What was brought along.
    pub state: State,
}

impl Cookies {
    /// Look at an option's value from a client's address at Unix time `now`; None where it is malformed.
    pub fn examine(&self, value: &[u8], client: IpAddr, now: u64) -> Option<Examined> {
        if value.len() != CLIENT && !(16..=40).contains(&value.len()) {
            return None;
        }
        if value.len() == WHOLE && value[CLIENT] == 1 {
            for (number, secret) in self.secrets.iter().enumerate() {
                if !same(&value[16..], &hash(secret, &value[..16], client)) {
                    continue;
                }
                let made = u32::from_be_bytes([value[12], value[13], value[14], value[15]]);
                let age = i64::from((now as u32).wrapping_sub(made) as i32); // RFC 1982
                if !(-AHEAD..=LIFETIME).contains(&age) {
                    break;
                }
                let mut kept = [0; WHOLE];
                kept.copy_from_slice(value);
                let fresh = age <= RENEWED && number == 0;
                let value = if fresh {
                    kept
                } else {
                    self.make(&value[..CLIENT], client, now)
                };
                return Some(Examined {
                    value,
                    state: State::Good,
                });
            }
        }
        let state = if value.len() > CLIENT {
            State::Bad
        } else {
            State::New
        };
        Some(Examined {
            value: self.make(&value[..CLIENT], client, now),
            state,
        })
    }

    fn make(&self, theirs: &[u8], client: IpAddr, now: u64) -> [u8; WHOLE] {
        let mut made = [0; WHOLE];
        made[..CLIENT].copy_from_slice(theirs);
        made[CLIENT] = 1;
        made[12..16].copy_from_slice(&(now as u32).to_be_bytes());
        let sealed = hash(&self.secrets[0], &made[..16], client);
        made[16..].copy_from_slice(&sealed);
        made
    }
}

fn hash(secret: &[u8; 16], data: &[u8], client: IpAddr) -> [u8; 8] {
    let mut sip = SipHasher24::new_with_key(secret);
    sip.write(data);
    match client {
        IpAddr::V4(ip) => sip.write(&ip.octets()),
        IpAddr::V6(ip) => sip.write(&ip.octets()),
    }
    sip.finish().to_le_bytes()
}

/// Equal, in a time that does not tell where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |found, (x, y)| found | (x ^ y)) == 0
}
