//! How one of several possible answers is taken: the integer arithmetic of `geodns.core.steer.picks`.

/// SplitMix64: 64 bits to 64 bits, every input bit to every output bit.
pub fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ x >> 31
}

/// An integer in [0, total) from 32 uniform bits.
pub fn draw(chance: u32, total: u32) -> u32 {
    ((u64::from(chance) * u64::from(total)) >> 32) as u32
}

/// The slot (0 to 4095) of a client's network: its /24, or its /56.
pub fn slot_of(family: u8, address: u128) -> usize {
    let network = if family == 4 { address >> 8 } else { address >> 72 } as u64;
    (mix(u64::from(family) << 56 | network) >> 52) as usize
}
