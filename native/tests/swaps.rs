//! Tables are swapped under load: what is counted in one is final when the wait for its end is over.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use geodns_native::epochs::Epochs;
use geodns_native::handler::{Answer, Handler, Reply};
use geodns_native::serve::{Options, Service};
use geodns_native::sockets::Socket;

const PATIENCE: Duration = Duration::from_secs(5);
const SWAPS: usize = 300;

/// A table that is nothing but a counter for each thread, which alone writes it.
type Table = [AtomicU64; 2];

struct Counting {
    tables: Arc<ArcSwap<Table>>,
    thread: usize,
    table: Option<Arc<Table>>,
}

impl Handler for Counting {
    fn batch(&mut self, _now: u64) {
        self.table = Some(self.tables.load_full());
    }

    fn answer(&mut self, _packet: &[u8], _client: &SocketAddr, _out: &mut Reply) -> Answer {
        let counter = &self.table.as_ref().expect("batch came first")[self.thread];
        counter.store(counter.load(Relaxed) + 1, Relaxed);
        Answer::Silence
    }

    fn idle(&mut self) {
        self.table = None;
    }
}

fn total(table: &Table) -> u64 {
    table.iter().map(|counter| counter.load(Relaxed)).sum()
}

#[test]
fn no_packet_is_counted_in_a_table_that_was_left() {
    let tables = Arc::new(ArcSwap::from_pointee(Table::default()));
    let epochs = Arc::new(Epochs::default());
    let sockets: Vec<_> = (0..2).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let addresses: Vec<_> = sockets
        .iter()
        .map(|socket| socket.local_addr().unwrap())
        .collect();
    let handlers = (0..2)
        .map(|thread| Counting {
            tables: tables.clone(),
            thread,
            table: None,
        })
        .collect();
    let sockets = sockets
        .into_iter()
        .map(|socket| Socket::new(socket.into()).unwrap())
        .collect();
    let options = Options {
        epochs: &epochs,
        waiting: 1,
        cores: &[],
        first: 0,
    };
    let service = Service::start(sockets, handlers, &options).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let told = over.clone();
    let flood = thread::spawn(move || {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        while !told.load(Relaxed) {
            for address in &addresses {
                let _ = client.send_to(b"more", address);
            }
        }
    });
    let mut left = Vec::new();
    for _ in 0..SWAPS {
        let began = Instant::now();
        while total(&tables.load()) == 0 {
            assert!(began.elapsed() < PATIENCE);
            thread::yield_now();
        }
        let old = tables.swap(Arc::default());
        assert!(epochs.wait_until_left(epochs.advance(), PATIENCE));
        left.push((total(&old), old));
    }
    over.store(true, Relaxed);
    flood.join().unwrap();
    service.stop();
    assert!(
        left.iter()
            .all(|(then, table)| *then == total(table) && *then > 0)
    );
    let counted: u64 = left.iter().map(|(then, _)| then).sum();
    assert_eq!(
        counted + total(&tables.load()),
        service.counts().received,
        "and none is lost"
    );
    assert!(left.iter().all(|(_, table)| Arc::strong_count(table) == 1));
}
