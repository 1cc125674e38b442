//! What a server agrees with its clients beside the zones, as in `geodns.core.terms`.

use std::net::IpAddr;

use crate::cookies::Cookies;

/// See `geodns.core.terms.Terms`; who the server says it is, is Python's to tell.
#[derive(Clone, Debug, Default)]
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

/// Networks that an address is looked for in: sorted spans that do not overlap, a family each.
#[derive(Clone, Debug, Default)]
pub struct Networks {
    v4: Vec<(u128, u128)>,
    v6: Vec<(u128, u128)>,
}

impl Networks {
    /// From addresses with prefix lengths.
    pub fn of(networks: impl IntoIterator<Item = (IpAddr, u8)>) -> Self {
        let mut found = Self::default();
        for (address, prefix) in networks {
            let (spans, value, bits) = match address {
                IpAddr::V4(ip) => (&mut found.v4, u128::from(u32::from(ip)), 32),
                IpAddr::V6(ip) => (&mut found.v6, u128::from(ip), 128),
            };
            let rest = 1u128
                .checked_shl(bits - u32::from(prefix))
                .map_or(u128::MAX, |n| n - 1);
            spans.push((value & !rest, value | rest));
        }
        merge(&mut found.v4);
        merge(&mut found.v6);
        found
    }

    /// Whether one of them holds an address.
    pub fn hold(&self, address: IpAddr) -> bool {
        let (spans, value) = match address {
            IpAddr::V4(ip) => (&self.v4, u128::from(u32::from(ip))),
            IpAddr::V6(ip) => (&self.v6, u128::from(ip)),
        };
        let before = spans.partition_point(|(first, _)| *first <= value);
        before > 0 && value <= spans[before - 1].1
    }
}

fn merge(spans: &mut Vec<(u128, u128)>) {
    spans.sort_unstable();
    spans.dedup_by(|next, kept| {
        let inside = next.0 <= kept.1;
        kept.1 = if inside { kept.1.max(next.1) } else { kept.1 };
        inside
    });
}
