//! What the service's threads cost beside bench/echo.c: every datagram goes back with QR set.
//!
//!   echo PORT      on 127.0.0.1, one thread, until it is ended.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::park;

use geodns_native::epochs::Epochs;
use geodns_native::handler::{Answer, Handler, Reply};
use geodns_native::serve::{Options, Service};
use geodns_native::sockets::Socket;

struct Echo;

impl Handler for Echo {
    fn batch(&mut self, _now: u64) {}

    fn answer(&mut self, packet: &[u8], _client: &SocketAddr, out: &mut Reply) -> Answer {
        if packet.len() < 12 {
            return Answer::Silence;
        }
        out.put(packet);
        out[2] |= 0x80;
        Answer::Reply
    }
}

fn main() {
    let port = std::env::args()
        .nth(1)
        .map_or(0, |text| text.parse().expect("a port"));
    let address = std::env::args().nth(2).unwrap_or("127.0.0.1".into());
    let socket = Socket::new(
        UdpSocket::bind((address.as_str(), port))
            .expect("a free port")
            .into(),
    )
    .expect("a socket");
    let options = Options {
        epochs: &Arc::new(Epochs::default()),
        waiting: 1,
        cores: &[],
        first: 0,
    };
    let _service = Service::start(vec![socket], vec![Echo], &options).expect("a thread");
    loop {
        park();
    }
}
