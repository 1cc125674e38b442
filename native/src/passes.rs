//! What goes from threads to Python: bounded queues with a bell.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
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

/// A packet that the log is to show, and the reply that it got, if any.
pub struct Shown {
    /// The packet.
    pub octets: Box<[u8]>,
    /// Whom it is from.
    pub client: SocketAddr,
    /// The reply; None: silence.
    pub reply: Option<Box<[u8]>>,
}

/// What waits for Python. Threads put in, Python takes out; the bell wakes its event loop.
pub struct Passes<T> {
    waiting: ArrayQueue<T>,
    rung: AtomicBool,
    bell: UnixStream,
    ear: UnixStream,
}

impl<T> Passes<T> {
    /// A queue for at most `capacity` (at least 1).
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

    /// Whether one more would be dropped now: asked before anything is copied.
    pub fn is_full(&self) -> bool {
        self.waiting.is_full()
    }

    /// Let something wait for Python; false where there is no room.
    pub fn put(&self, it: T) -> bool {
        let taken = self.waiting.push(it).is_ok();
        if taken {
            self.ring();
        }
        taken
    }

    /// The one that waits longest. After None the bell is silent until another is put in.
    pub fn next(&self) -> Option<T> {
        self.waiting.pop().or_else(|| {
            // In this order: what is put in behind the second line rings again, what was before is found now.
            let _ = (&self.ear).read(&mut [0; 16]);
            self.rung.store(false, Ordering::SeqCst);
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
