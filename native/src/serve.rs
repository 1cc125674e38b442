//! The UDP service: one thread a socket, batch in, replies out, until it is stopped.
//!
//! What a thread counts is its own; who reads adds up.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::mem::take;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use crossbeam_utils::CachePadded;

use crate::epochs::{Epochs, Seat};
use crate::handler::{Answer, Handler};
use crate::passes::{Asker, Passed, Passes, Shown};
use crate::sockets::{Batch, Socket, pin};

/// How a service is run beside its sockets and handlers.
pub struct Options<'a> {
    /// Where its threads say which generation of the table they use.
    pub epochs: &'a Arc<Epochs>,
    /// Packets that may wait for Python; and as many that may wait for the log.
    pub waiting: usize,
    /// Cores that the threads are held on in turn; none: the system's choice.
    pub cores: &'a [usize],
    /// The number in the first thread's name.
    pub first: usize,
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that reached a handler.
    pub received: u64,
    /// Packets to which the handler gave no reply.
    pub silent: u64,
    /// Panics of the handler: each is a bug.
    pub faults: u64,
    /// Receives that failed.
    pub errors: u64,
    /// Replies the system would not take.
    pub unsent: u64,
    /// Packets that the handler passed to Python and that found room.
    pub passed: u64,
    /// Packets that it passed and that found none.
    pub unpassed: u64,
    /// Packets that the log was to show, when too many waited for it.
    pub unshown: u64,
}

/// The threads that serve the sockets of one address and port.
pub struct Service {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    sockets: Mutex<Vec<Arc<Socket>>>, // for who is no thread of the service
    passes: Passes<Passed>,
    shown: Passes<Shown>,
    counters: Vec<CachePadded<Counters>>,
    stopping: AtomicBool,
    last_fault: Mutex<String>, // taken only where a handler panicked, and by who reads it
}

impl Service {
    /// Answer what arrives on each socket by the handler of the same index, from now on.
    ///
    /// Errors: a thread that cannot be started, a core that cannot be had.
    pub fn start<H: Handler + 'static>(
        sockets: Vec<Socket>,
        handlers: Vec<H>,
        options: &Options<'_>,
    ) -> io::Result<Self> {
        static QUIET: Once = Once::new();
        QUIET.call_once(keep_panics);
        assert_eq!(sockets.len(), handlers.len(), "a handler for each socket");
        let sockets: Vec<_> = sockets.into_iter().map(Arc::new).collect();
        let shared = Arc::new(Shared {
            passes: Passes::new(options.waiting)?,
            shown: Passes::new(options.waiting)?,
            counters: sockets.iter().map(|_| CachePadded::default()).collect(),
            sockets: Mutex::new(sockets.clone()),
            stopping: AtomicBool::new(false),
            last_fault: Mutex::default(),
        });
        let service = Self {
            shared,
            threads: Mutex::default(),
        };
        for (index, (socket, handler)) in sockets.into_iter().zip(handlers).enumerate() {
            if let Err(error) = service.begin(index, socket, handler, options) {
                // The sockets stay the caller's, to read from: threads see by themselves that it is over.
                locked(&service.shared.sockets).clear();
                return Err(error);
            }
        }
        Ok(service)
    }

    fn begin<H: Handler + 'static>(
        &self,
        index: usize,
        socket: Arc<Socket>,
        handler: H,
        options: &Options<'_>,
    ) -> io::Result<()> {
        let (shared, seat) = (self.shared.clone(), options.epochs.seat());
        let thread = Builder::new()
            .name(format!("{NAME}{}", options.first + index))
            .spawn(move || Worker::new(&shared, index, &socket, handler, seat).run())?;
        let pinned = match options.cores {
            [] => Ok(()),
            cores => pin(&thread, cores[index % cores.len()]),
        };
        locked(&self.threads).push(thread);
        pinned
    }

    /// Stop answering and close the sockets: when this returns no thread is left. Harmless when stopped.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        let sockets = take(&mut *locked(&self.shared.sockets));
        sockets.iter().for_each(|socket| socket.wake());
        for thread in take(&mut *locked(&self.threads)) {
            let _ = thread.join();
        }
    }

    /// What was counted, over all threads.
    pub fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for counters in &self.shared.counters {
            for (total, counter) in sum.fields().into_iter().zip(&counters.0) {
                *total += counter.load(Ordering::Relaxed);
            }
        }
        sum
    }

    /// What the last panic said, and where; empty where there was none.
    pub fn last_fault(&self) -> String {
        locked(&self.shared.last_fault).clone()
    }

    /// The packets that wait for Python.
    pub fn passes(&self) -> &Passes<Passed> {
        &self.shared.passes
    }

    /// The packets that the log is to show.
    pub fn shown(&self) -> &Passes<Shown> {
        &self.shared.shown
    }

    /// Send the reply to a packet that was passed; false where the system does not take it, or this is stopped.
    pub fn reply(&self, asker: &Asker, octets: &[u8]) -> bool {
        let socket = locked(&self.shared.sockets).get(asker.socket).cloned();
        socket.is_some_and(|socket| socket.send(octets, &asker.source))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `Counts` as others may read them; written by one thread only.
#[derive(Default)]
struct Counters([AtomicU64; 8]);

impl Counters {
    #[inline]
    fn publish(&self, mut counts: Counts) {
        for (counter, count) in self.0.iter().zip(counts.fields()) {
            counter.store(*count, Ordering::Relaxed);
        }
    }
}

impl Counts {
    #[inline]
    fn fields(&mut self) -> [&mut u64; 8] {
        [
            &mut self.received,
            &mut self.silent,
            &mut self.faults,
            &mut self.errors,
            &mut self.unsent,
            &mut self.passed,
            &mut self.unpassed,
            &mut self.unshown,
        ]
    }
}

/// What one thread has: a socket's batch, and how far it is with it.
struct Worker<'a, H> {
    shared: &'a Shared,
    index: usize,
    handler: H,
    seat: Seat,
    batch: Batch<'a>,
    next: usize,
    received: usize,
    counts: Counts,
}

impl<'a, H: Handler> Worker<'a, H> {
    fn new(shared: &'a Shared, index: usize, socket: &'a Socket, handler: H, seat: Seat) -> Self {
        Self {
            shared,
            index,
            handler,
            seat,
            batch: Batch::new(socket),
            next: 0,
            received: 0,
            counts: Counts::default(),
        }
    }

    /// Serve until stopped. A panic leaves the batch where it is: the next packet is the one behind it.
    fn run(mut self) {
        while catch_unwind(AssertUnwindSafe(|| self.serve())).is_err() {
            self.counts.faults += 1;
            *locked(&self.shared.last_fault) = LAST_PANIC.take();
        }
    }

    fn serve(&mut self) {
        loop {
            if self.received > 0 {
                self.answer(); // after a panic: those behind it, if any
                self.publish(); // whoever has a reply finds it counted
                self.counts.unsent += self.batch.send();
                self.handler.idle();
            }
            self.publish();
            self.seat.leave();
            if self.shared.stopping.load(Ordering::Relaxed) {
                return;
            }
            self.next = 0;
            self.received = self.receive();
            if self.received > 0 {
                self.seat.enter();
                self.handler.batch(now());
            }
        }
    }

    fn receive(&mut self) -> usize {
        self.batch.receive().unwrap_or_else(|error| {
            let nothing = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted);
            self.counts.errors += u64::from(!nothing);
            0
        })
    }

    #[inline]
    fn answer(&mut self) {
        while self.next < self.received {
            let i = self.next;
            self.next += 1;
            let Some((packet, client, reply)) = self.batch.packet(i) else {
                continue;
            };
            self.counts.received += 1;
            let answer = self.handler.answer(packet, &client, reply);
            if self.handler.shows() && answer != Answer::Pass {
                let octets = (!self.shared.shown.is_full()).then(|| Box::from(packet));
                let reply = (answer == Answer::Reply).then(|| Box::from(&**reply));
                let taken = octets.is_some_and(|octets| {
                    self.shared.shown.put(Shown {
                        octets,
                        client,
                        reply,
                    })
                });
                self.counts.unshown += u64::from(!taken);
            }
            match answer {
                Answer::Reply => self.batch.keep(i),
                Answer::Silence => self.counts.silent += 1,
                Answer::Pass => self.pass(i),
            }
        }
    }

    #[inline]
    fn publish(&self) {
        self.shared.counters[self.index].publish(self.counts);
    }

    fn pass(&mut self, i: usize) {
        let passes = &self.shared.passes;
        let taken = !passes.is_full() && {
            let (octets, source) = self.batch.copy(i);
            passes.put(Passed {
                octets,
                asker: Asker {
                    source,
                    socket: self.index,
                },
            })
        };
        self.counts.passed += u64::from(taken);
        self.counts.unpassed += u64::from(!taken);
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

const NAME: &str = "geodns-udp-";
const TOLD: usize = 200; // characters kept of a panic

thread_local! {
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// From now on the panics of service threads are kept, not printed: a line for each packet could hold them up.
fn keep_panics() {
    let others = take_hook();
    set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        if std::thread::current()
            .name()
            .is_some_and(|name| name.starts_with(NAME))
        {
            LAST_PANIC.set(info.to_string().chars().take(TOLD).collect());
        } else {
            others(info);
        }
    }));
}
