//! The service's threads over loopback: what arrives is answered, from the right address, whatever happens.

use std::io::Read;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use geodns_native::epochs::Epochs;
use geodns_native::handler::{Answer, Handler, REPLY_MAX, Reply};
use geodns_native::serve::{Counts, Options, Service};
use geodns_native::sockets::{BATCH, QUERY_MAX, Socket};

const PATIENCE: Duration = Duration::from_secs(5);

/// Says the packet back behind "re:"; some packets are orders.
#[derive(Clone, Default)]
struct Echo {
    batches: Arc<AtomicU64>,
    idles: Arc<AtomicU64>,
    hold: Arc<AtomicBool>,
}

impl Handler for Echo {
    fn batch(&mut self, now: u64) {
        assert!(now > 1_700_000_000);
        self.batches.fetch_add(1, Ordering::Relaxed);
        while self.hold.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn answer(&mut self, packet: &[u8], client: &SocketAddr, out: &mut Reply) -> Answer {
        out.put(b"re:");
        match packet {
            b"who" => out.put(client.to_string().as_bytes()),
            b"no" => return Answer::Silence,
            b"huge" => out.put(&[7; REPLY_MAX - 3]),
            b"bug" => panic!("a bug"),
            _ if packet.starts_with(b"pass") => return Answer::Pass,
            _ => out.put(&packet[..packet.len().min(100)]),
        }
        Answer::Reply
    }

    fn idle(&mut self) {
        self.idles.fetch_add(1, Ordering::Relaxed);
    }
}

struct Server {
    service: Service,
    handler: Echo,
    epochs: Arc<Epochs>,
    at: SocketAddr,
}

impl Server {
    fn counts(&self) -> Counts {
        self.service.counts()
    }

    /// A client that takes replies from nobody but whom it asked.
    fn client(&self, asked: &str) -> UdpSocket {
        let asked: IpAddr = asked.parse().unwrap();
        let from = if asked.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let client = UdpSocket::bind(from).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.connect((asked, self.at.port())).unwrap();
        client
    }
}

fn serve(address: &str) -> Server {
    serve_with(address, 16, &[])
}

fn serve_with(address: &str, waiting: usize, cores: &[usize]) -> Server {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    let (at, handler, epochs) = (
        socket.local_addr().unwrap(),
        Echo::default(),
        Arc::new(Epochs::default()),
    );
    let options = Options {
        epochs: &epochs,
        waiting,
        cores,
        first: 0,
    };
    let sockets = vec![Socket::new(socket.into()).unwrap()];
    let service = Service::start(sockets, vec![handler.clone()], &options).unwrap();
    Server {
        service,
        handler,
        epochs,
        at,
    }
}

fn ask(client: &UdpSocket, packet: &[u8]) -> Vec<u8> {
    client.send(packet).unwrap();
    hear(client)
}

fn hear(client: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 8192];
    let len = client.recv(&mut buffer).unwrap();
    buffer[..len].to_vec()
}

/// Whether an event loop would wake now.
fn rung(server: &Server) -> bool {
    server.service.passes().ear().read(&mut [0]).is_ok()
}

fn until(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn who_asks_is_told_who_it_is() {
    for address in ["127.0.0.1", "::1"] {
        let server = serve(address);
        let client = server.client(address);
        let told = format!("re:{}", client.local_addr().unwrap());
        assert_eq!(ask(&client, b"who"), told.as_bytes());
        assert_eq!(ask(&client, b""), b"re:");
    }
}

#[test]
fn a_wildcard_replies_from_the_address_that_was_asked() {
    for (address, asked) in [("0.0.0.0", "127.0.0.1"), ("0.0.0.0", "127.0.0.2"), ("::", "::1")] {
        let server = serve(address);
        let client = server.client(asked);
        for round in 0..3 * BATCH {
            let packet = format!("{round}");
            assert_eq!(ask(&client, packet.as_bytes()), format!("re:{packet}").as_bytes());
        }
    }
}

/// Replies move up where packets before them get none: each must still go to its own client.
#[test]
fn each_of_a_batch_gets_its_own_reply() {
    let server = serve("0.0.0.0");
    server.handler.hold.store(true, Ordering::Relaxed);
    let clients: Vec<_> = (0..BATCH + 1)
        .map(|i| server.client(["127.0.0.1", "127.0.0.2"][i % 2]))
        .collect();
    for (i, client) in clients.iter().enumerate() {
        client.send(if i % 3 == 0 { b"no" } else { b"who" }).unwrap();
    }
    until(|| server.handler.batches.load(Ordering::Relaxed) == 1);
    server.handler.hold.store(false, Ordering::Relaxed);
    for client in clients
        .iter()
        .enumerate()
        .filter(|(i, _)| i % 3 != 0)
        .map(|(_, client)| client)
    {
        assert_eq!(
            hear(client),
            format!("re:{}", client.local_addr().unwrap()).as_bytes()
        );
    }
    until(|| server.counts().received == BATCH as u64 + 1);
    assert_eq!(server.counts().silent, BATCH as u64 / 3 + 1);
    assert!(server.handler.batches.load(Ordering::Relaxed) <= 3);
}

#[test]
fn what_is_longer_than_a_query_may_be_is_cut() {
    let server = serve("127.0.0.1");
    let client = server.client("127.0.0.1");
    assert_eq!(
        ask(&client, &[9; QUERY_MAX + 1000]),
        [b"re:", &[9; 100][..]].concat()
    );
    assert_eq!(ask(&client, b"huge").len(), REPLY_MAX);
    assert_eq!(
        server.counts(),
        Counts {
            received: 2,
            ..Counts::default()
        }
    );
}

#[test]
fn a_panic_costs_one_reply_and_is_counted() {
    let server = serve("127.0.0.1");
    let client = server.client("127.0.0.1");
    server.handler.hold.store(true, Ordering::Relaxed);
    for packet in [&b"1"[..], b"bug", b"2", b"bug", b"bug", b"3"] {
        client.send(packet).unwrap();
    }
    server.handler.hold.store(false, Ordering::Relaxed);
    assert_eq!(
        [hear(&client), hear(&client), hear(&client)],
        [b"re:1", b"re:2", b"re:3"]
    );
    assert_eq!(ask(&client, b"4"), b"re:4");
    until(|| server.counts().received == 7);
    assert_eq!(
        server.counts(),
        Counts {
            received: 7,
            faults: 3,
            ..Counts::default()
        }
    );
    assert!(
        server.service.last_fault().contains("a bug"),
        "{}",
        server.service.last_fault()
    );
    assert!(server.service.last_fault().contains("tests/serve.rs"));
}

#[test]
fn a_panic_at_the_end_of_a_batch_costs_the_others_nothing_either() {
    let server = serve("127.0.0.1");
    let (first, second) = (server.client("127.0.0.1"), server.client("127.0.0.1"));
    for _ in 0..3 {
        server.handler.hold.store(true, Ordering::Relaxed);
        for packet in std::iter::repeat_n(&b"a"[..], BATCH - 4).chain([&b"bug"[..]]) {
            first.send(packet).unwrap();
        }
        server.handler.hold.store(false, Ordering::Relaxed);
        for _ in 0..BATCH - 4 {
            assert_eq!(hear(&first), b"re:a");
        }
        assert_eq!(ask(&second, b"b"), b"re:b", "nobody gets another one's reply");
    }
    until(|| server.counts().faults == 3);
}

#[test]
fn where_it_cannot_be_started_the_sockets_are_as_they_were() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (at, kept) = (socket.local_addr().unwrap(), socket.try_clone().unwrap());
    let epochs = Arc::new(Epochs::default());
    let options = Options {
        epochs: &epochs,
        waiting: 1,
        cores: &[100_000],
        first: 0,
    };
    let sockets = vec![Socket::new(socket.into()).unwrap()];
    assert!(Service::start(sockets, vec![Echo::default()], &options).is_err());
    kept.set_read_timeout(Some(PATIENCE)).unwrap();
    UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .send_to(b"to whom", at)
        .unwrap();
    assert_eq!(kept.recv(&mut [0; 16]).unwrap(), 7);
}

#[test]
fn what_is_passed_is_answered_from_the_asked_address() {
    for (address, asked) in [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.2"),
        ("::", "::1"),
        ("::1", "::1"),
    ] {
        let server = serve(address);
        let client = server.client(asked);
        client.send(b"pass me").unwrap();
        until(|| rung(&server));
        let passed = server.service.passes().next().unwrap();
        assert_eq!(&*passed.octets, b"pass me");
        assert_eq!(passed.asker.source.client(), client.local_addr().ok());
        assert!(server.service.reply(&passed.asker, b"from Python"));
        assert_eq!(hear(&client), b"from Python");
        assert!(server.service.passes().next().is_none());
        assert!(!rung(&server));
        assert!(!server.service.reply(&passed.asker, &[0; 70_000]));
        until(|| server.counts().received == 1);
        assert_eq!(
            server.counts(),
            Counts {
                received: 1,
                passed: 1,
                ..Counts::default()
            }
        );
    }
}

#[test]
fn what_finds_no_room_in_the_queue_is_dropped_and_counted() {
    let server = serve_with("127.0.0.1", 5, &[]);
    let client = server.client("127.0.0.1");
    for i in 0..20 {
        client.send(format!("pass {i}").as_bytes()).unwrap();
    }
    assert_eq!(ask(&client, b"end"), b"re:end");
    let passes = server.service.passes();
    let taken: Vec<_> = std::iter::from_fn(|| passes.next())
        .map(|passed| passed.octets.to_vec())
        .collect();
    assert_eq!(
        taken,
        (0..5)
            .map(|i| format!("pass {i}").into_bytes())
            .collect::<Vec<_>>()
    );
    until(|| server.counts().received == 21);
    assert_eq!((server.counts().passed, server.counts().unpassed), (5, 15));
}

/// Whoever looks only when the bell was rung misses nothing.
#[test]
fn the_bell_is_rung_for_what_comes_at_any_time() {
    let server = serve("127.0.0.1");
    let (client, passes) = (server.client("127.0.0.1"), server.service.passes());
    for round in 0..500 {
        for i in 0..3 {
            client.send(format!("pass {round} {i}").as_bytes()).unwrap();
        }
        let mut got = 0;
        while got < 3 {
            until(|| rung(&server));
            got += std::iter::from_fn(|| passes.next()).count();
        }
    }
}

fn stops_in_time(server: &Server) {
    let began = Instant::now();
    server.service.stop();
    assert!(
        began.elapsed() < Duration::from_millis(200),
        "{:?}",
        began.elapsed()
    );
    server.service.stop();
}

#[test]
fn it_stops_at_once_when_nobody_asks() {
    let server = serve("127.0.0.1");
    thread::sleep(Duration::from_millis(20));
    stops_in_time(&server);
    let port = server.at.port();
    drop(server);
    UdpSocket::bind(("127.0.0.1", port)).expect("the port is given back");
}

#[test]
fn it_stops_at_once_under_load() {
    let server = serve("127.0.0.1");
    let over = Arc::new(AtomicBool::new(false));
    let (client, told) = (server.client("127.0.0.1"), over.clone());
    let flood = thread::spawn(move || {
        while !told.load(Ordering::Relaxed) {
            let _ = client.send(b"more");
        }
    });
    until(|| server.counts().received > 10_000);
    stops_in_time(&server);
    let after = server.counts();
    assert_eq!(after, server.counts());
    over.store(true, Ordering::Relaxed);
    flood.join().unwrap();
}

#[test]
fn a_swap_waits_for_the_batch_under_way_and_for_nobody_who_waits() {
    let server = serve("127.0.0.1");
    let short = Duration::from_millis(20);
    thread::sleep(short);
    assert!(server.epochs.wait_until_left(server.epochs.advance(), short));
    server.handler.hold.store(true, Ordering::Relaxed);
    let client = server.client("127.0.0.1");
    client.send(b"1").unwrap();
    until(|| server.handler.batches.load(Ordering::Relaxed) == 1);
    let generation = server.epochs.advance();
    assert!(!server.epochs.wait_until_left(generation, short));
    server.handler.hold.store(false, Ordering::Relaxed);
    assert!(server.epochs.wait_until_left(generation, PATIENCE));
    assert_eq!(server.handler.idles.load(Ordering::Relaxed), 1);
}

#[test]
fn threads_have_names_and_the_cores_that_were_given() {
    let allowed = std::fs::read_to_string("/proc/self/status").unwrap();
    let allowed = allowed
        .lines()
        .find(|line| line.starts_with("Cpus_allowed_list"))
        .unwrap();
    let core: usize = allowed
        .split_whitespace()
        .nth(1)
        .unwrap()
        .split([',', '-'])
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let server = serve_with("127.0.0.1", 1, &[core]);
    assert_eq!(ask(&server.client("127.0.0.1"), b"1"), b"re:1");
    let pinned = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .flatten()
        .any(|task| {
            let read = |file| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
            read("comm").starts_with("geodns-udp-0")
                && read("status").contains(&format!("Cpus_allowed_list:\t{core}\n"))
        });
    assert!(pinned);
}

#[test]
fn a_core_that_is_not_there_is_an_error_and_leaves_nothing_behind() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    let epochs = Arc::new(Epochs::default());
    let options = Options {
        epochs: &epochs,
        waiting: 1,
        cores: &[1 << 20],
        first: 0,
    };
    let sockets = vec![Socket::new(socket.into()).unwrap()];
    assert!(Service::start(sockets, vec![Echo::default()], &options).is_err());
    UdpSocket::bind(at).expect("the port is given back");
}
