//! Whether an address belongs to some networks (`geodns/core/membership.py`).

use std::net::IpAddr;

type Number = (bool, u128); // whether it is IPv6, and its bits

/// Networks, none within another, in order.
#[derive(Debug, Default)]
pub struct Networks(Vec<(Number, Number)>);

impl Networks {
    /// Networks in CIDR. None where one is none.
    pub fn parse<'a>(networks: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut ranges: Vec<_> = networks.into_iter().map(range).collect::<Option<_>>()?;
        ranges.sort_unstable_by_key(|(first, last)| (*first, std::cmp::Reverse(*last)));
        let mut found: Vec<(Number, Number)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            if found.last().is_none_or(|before| before.1 < first) {
                found.push((first, last));
            }
        }
        Some(Self(found))
    }

    /// Whether one of them has an address.
    pub fn hold(&self, address: IpAddr) -> bool {
        let number = number(address);
        let behind = self.0.partition_point(|(first, _)| *first <= number);
        behind > 0 && number <= self.0[behind - 1].1
    }
}

fn number(address: IpAddr) -> Number {
    match address {
        IpAddr::V4(address) => (false, address.to_bits().into()),
        IpAddr::V6(address) => (true, address.to_bits()),
    }
}

/// The first and the last address of a network in CIDR.
fn range(text: &str) -> Option<(Number, Number)> {
    let (address, prefix) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let width: u32 = if address.is_ipv4() { 32 } else { 128 };
    let free = width.checked_sub(prefix.parse().ok()?)?;
    let (family, first) = number(address);
    let rest = u128::MAX.checked_shr(128 - free).unwrap_or(0);
    (first & rest == 0).then_some(((family, first), (family, first | rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_hold_what_lies_in_one_of_them() {
        let texts = [
            "192.0.2.128/25",
            "10.0.0.0/8",
            "10.1.0.0/16",
            "198.51.100.7/32",
            "2001:db8:1::/48",
            "10.0.0.0/9",
        ];
        let networks = Networks::parse(texts).unwrap();
        let hold = |text: &str| networks.hold(text.parse().unwrap());
        for inside in [
            "192.0.2.128",
            "192.0.2.255",
            "10.0.0.0",
            "10.200.1.1",
            "10.255.255.255",
            "198.51.100.7",
            "2001:db8:1:ffff::",
        ] {
            assert!(hold(inside), "{inside}");
        }
        for outside in [
            "192.0.2.127",
            "192.0.3.0",
            "9.255.255.255",
            "11.0.0.0",
            "198.51.100.8",
            "2001:db8:2::",
            "::a00:1",
        ] {
            assert!(!hold(outside), "{outside}");
        }
    }

    #[test]
    fn all_of_a_family_is_a_network_too() {
        let networks = Networks::parse(["0.0.0.0/0"]).unwrap();
        assert!(networks.hold("255.255.255.255".parse().unwrap()));
        assert!(!networks.hold("::".parse().unwrap()));
        assert!(Networks::parse(["::/0"]).unwrap().hold("ffff::".parse().unwrap()));
        assert!(!Networks::default().hold("::".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_is_none() {
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "x/8",
            "10.0.0.0/-1",
            "::/129",
        ] {
            assert!(Networks::parse([text]).is_none(), "{text}");
        }
    }
}
