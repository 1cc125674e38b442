//! What a server agrees with its clients beside the zones, as in `geodns.core.terms`.

use std::net::IpAddr;

use crate::cookies::Cookies;
use crate::networks::Networks;

/// See `geodns.core.terms.Terms`; who the server says it is, is Python's to tell.
#[derive(Debug, Default)]
pub struct Terms {
    /// Told in OPT records: the largest datagram that is taken.
    pub payload: u16,
    /// Whether questions of class CH are Python's to answer, else they are refused.
    pub identity: bool,
    /// Told when asked for (RFC 5001).
    pub nsid: Option<Vec<u8>>,
    /// None: not spoken of.
    pub cookies: Option<Cookies>,
    /// The networks whose Client Subnet is believed; None: everybody's.
    pub resolvers: Option<Networks>,
    /// For how many tenths of a second a silent TCP connection is kept; 0 is not told.
    pub idle: u16,
    /// Whether a zone can be had over TCP.
    pub transfers: bool,
    /// Whether queries with a TSIG record are Python's to answer, else the record is not looked at.
    pub signed: bool,
    /// Whether answers that fail open or are paused say so.
    pub states: bool,
}

impl Terms {
    /// Whether a source may speak for others.
    pub fn believes(&self, client: IpAddr) -> bool {
        self.resolvers
            .as_ref()
            .is_none_or(|networks| networks.hold(client))
    }
}
