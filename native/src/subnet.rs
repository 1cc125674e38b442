//! Whom an answer is for (`geodns.core.edns.Subnet`).

/// A client's network: `address` has `prefix` significant bits.
///
/// `shift` is how many bits the client wrote before it (an IPv4 embedded in IPv6): scopes move along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// 4 or 6.
    pub family: u8,
    /// The first address, as an integer (of IPv4: its 32 bits).
    pub address: u128,
    /// How many of its bits are told.
    pub prefix: u8,
    /// See above; 0 for what is no embedded IPv4.
    pub shift: u8,
}
