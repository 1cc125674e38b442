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
    /// Whom to answer.
    pub asker: Asker,
}

/// The way back to whom a packet came from.
pub struct Asker {
    /// Its address, and which one it asked.
    pub source: Source,
    /// Which of the service's sockets that was at.
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

    /// The one that waits longest. After None the bell is silent until another is put in.
    pub fn next(&self) -> Option<Passed> {
        self.waiting.pop().or_else(|| {
            // What is put in from here on rings again; what was before, without ringing, is found now.
            self.rung.store(false, Ordering::SeqCst);
            let _ = (&self.ear).read(&mut [0; 16]);
            self.waiting.pop().inspect(|_| self.ring())
        })
    }

    /// Readable until `next` gives None: for an event loop.
    pub fn ear(&self) -> &UnixStream {
        &self.ear
    }

    fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            let _ = (&self.bell).write(&[0]);
        }
    }
}
