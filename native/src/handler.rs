//! What the service threads ask of whoever answers: one packet in, at most one reply out.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};

/// Octets that a reply may have: the most that `limits.udp_payload` allows, and room to be cut down from.
pub const REPLY_MAX: usize = 4096 + 320;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What was written is sent back.
    Reply,
    /// Nothing is sent back; what was written is forgotten.
    Silence,
    /// Python answers it; what was written is forgotten.
    Pass,
}

/// Answers packets, in one thread. A panic costs the client its reply, is counted, and ends nothing.
pub trait Handler: Send {
    /// Called before each batch: the moment for a new table. `now`: Unix seconds.
    fn batch(&mut self, now: u64);

    /// What becomes of a packet; the reply is written behind nothing (`out` is empty).
    fn answer(&mut self, packet: &[u8], client: &SocketAddr, out: &mut Reply) -> Answer;

    /// Whether a source is known not to be forged (RFC 7873): asked of who is over the rate limit.
    fn trusts(&mut self, _packet: &[u8], _client: &SocketAddr) -> bool {
        false
    }

    /// Whether the log is to show the packet that was just answered.
    fn shows(&mut self) -> bool {
        false
    }

    /// Called after each batch, before the thread waits: what belongs to a table is let go.
    fn idle(&mut self) {}
}

/// A reply that is being written, like a `Vec<u8>` that never grows; octets are patched through the slice.
///
/// Its memory is that which the system sends from.
pub struct Reply {
    len: usize,
    octets: [u8; REPLY_MAX],
}

impl Reply {
    /// An empty reply.
    pub fn new() -> Self {
        Self {
            len: 0,
            octets: [0; REPLY_MAX],
        }
    }

    /// Write octets behind what is there. Panics where they would not fit.
    #[inline]
    pub fn put(&mut self, octets: &[u8]) {
        let end = self.len + octets.len();
        self.octets[self.len..end].copy_from_slice(octets);
        self.len = end;
    }

    /// Write one octet behind what is there. Panics where it would not fit.
    #[inline]
    pub fn put_u8(&mut self, value: u8) {
        self.octets[self.len] = value;
        self.len += 1;
    }

    /// Write 16 bits in network order. Panics where they would not fit.
    #[inline]
    pub fn put_u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    /// Write 32 bits in network order. Panics where they would not fit.
    #[inline]
    pub fn put_u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    /// Octets that may still be written.
    #[inline]
    pub fn room(&self) -> usize {
        REPLY_MAX - self.len
    }

    /// Forget all but the first `len` octets; without effect where there are no more.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Forget everything.
    #[inline]
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

impl Default for Reply {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Reply {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

impl DerefMut for Reply {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.octets[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_and_patched_and_cut() {
        let mut reply = Reply::new();
        reply.put(b"ab");
        reply.put_u8(1);
        reply.put_u16(0x0203);
        reply.put_u32(0x0405_0607);
        reply[0] = b'A';
        assert_eq!(&reply[..], b"Ab\x01\x02\x03\x04\x05\x06\x07");
        assert_eq!(reply.room(), REPLY_MAX - 9);
        reply.truncate(2);
        reply.truncate(5);
        assert_eq!(&reply[..], b"Ab");
        reply.clear();
        assert!(reply.is_empty());
    }

    #[test]
    fn it_takes_as_much_as_it_says() {
        let mut reply = Reply::new();
        reply.put(&[7; REPLY_MAX]);
        assert_eq!((reply.len(), reply.room()), (REPLY_MAX, 0));
    }

    #[test]
    #[should_panic(expected = "out of range")]
    fn more_is_a_bug_of_who_writes() {
        let mut reply = Reply::new();
        reply.put(&[7; REPLY_MAX - 1]);
        reply.put(b"ab");
    }
}
