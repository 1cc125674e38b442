//! What the native lane does not answer itself, on its way to Python: a bounded queue with a bell.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_queue::ArrayQueue;

use crate::sockets::Source;

/// A packet that Python is to answer.
pub struct Passed {
    /// The packet.
    pub octets: Box<[u8]>,
    /// Whom to answer, and from which address.
    pub source: Source,
    /// On which of the service's sockets.
    pub socket: usize,
}

/// Packets that wait for Python. Threads put in, Python takes out; the bell wakes its event loop.
pub struct Passes {
    waiting: ArrayQueue<Passed>,
    rung: AtomicBool,
    bell: UnixStream,
    ear: UnixStream,
}

impl Passes {
    /// A queue for at most `capacity` packets (at least 1).
    pub fn new(capacity: usize) -> io::Result<Self> {
        let (bell, ear) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        ear.set_nonblocking(true)?;
        Ok(Self {
            waiting: ArrayQueue::new(capacity.max(1)),
            rung: AtomicBool::new(false),
            bell,
            ear,
        })
    }

    /// Whether one more would be dropped now: asked before a packet is copied.
    pub fn is_full(&self) -> bool {
        self.waiting.is_full()
    }

    /// Let a packet wait for Python; false where there is no room.
    pub fn put(&self, passed: Passed) -> bool {
        let taken = self.waiting.push(passed).is_ok();
        if taken {
            self.ring();
        }
        taken
    }

    /// Up to `most` of those that wait, the oldest first. Where some are left the bell is rung again.
    pub fn take(&self, most: usize) -> Vec<Passed> {
        // In this order: what is put in behind the second line rings again, what was before is seen below.
        let _ = (&self.ear).read(&mut [0; 16]);
        self.rung.store(false, Ordering::SeqCst);
        let found = (0..most).map_while(|_| self.waiting.pop()).collect();
        if !self.waiting.is_empty() {
            self.ring();
        }
        found
    }

    /// Readable while packets wait: for an event loop.
    pub fn ear(&self) -> &UnixStream {
        &self.ear
    }

    fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            let _ = (&self.bell).write(&[0]);
        }
    }
}
