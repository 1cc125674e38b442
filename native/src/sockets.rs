//! The system calls of the UDP service: datagrams in batches. The only file with `unsafe`.
//!
//! What a call needs (vectors, headers, where they point) is laid out once. Per batch only lengths change,
//! per reply the pointers to it and to its receiver; replies are sent from where they were written.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::thread::JoinHandleExt;
use std::ptr::null_mut;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::handler::Reply;

/// Datagrams that are taken at one call.
pub const BATCH: usize = 64;
/// Octets read of a datagram; the rest of a longer one is cut off by the system.
pub const QUERY_MAX: usize = 4096;

const WAIT: Duration = Duration::from_millis(250); // how late a thread may see what nobody woke it for
const DATA: usize = size_of::<libc::cmsghdr>(); // where ancillary data begin
const CONTROL: usize = DATA + 24; // CMSG_SPACE of in6_pktinfo, the larger one

/// A bound UDP socket, shared by the thread that serves it and whoever sends or stops beside it.
pub struct Socket {
    inner: UdpSocket,
    name_len: libc::socklen_t,
    interface: Option<usize>, // where in the ancillary data an interface is named; None: there are no such data
}

impl Socket {
    /// Take a socket over. One that listens on all addresses tells from now on which of them a packet asked.
    pub fn new(descriptor: OwnedFd) -> io::Result<Self> {
        let inner = UdpSocket::from(descriptor);
        inner.set_nonblocking(false)?;
        inner.set_read_timeout(Some(WAIT))?;
        let local = inner.local_addr()?;
        let (name_len, interface, level, option) = match local {
            SocketAddr::V4(_) => (
                size_of::<libc::sockaddr_in>(),
                DATA,
                libc::IPPROTO_IP,
                libc::IP_PKTINFO,
            ),
            SocketAddr::V6(_) => (
                size_of::<libc::sockaddr_in6>(),
                DATA + size_of::<libc::in6_addr>(),
                libc::IPPROTO_IPV6,
                libc::IPV6_RECVPKTINFO,
            ),
        };
        let tells = local.ip().is_unspecified() && switch_on(&inner, level, option);
        Ok(Self {
            inner,
            name_len: name_len as libc::socklen_t,
            interface: tells.then_some(interface),
        })
    }

    /// Wake whoever waits for packets here.
    pub fn wake(&self) {
        // SAFETY: a plain call on a descriptor that is open as long as `self` is. It fails with ENOTCONN, for there
        // is no peer, and wakes all the same.
        unsafe { libc::shutdown(self.inner.as_raw_fd(), libc::SHUT_RD) };
    }

    /// Send a reply outside a batch; false where the system does not take it.
    pub fn send(&self, octets: &[u8], to: &Source) -> bool {
        let mut vector = libc::iovec {
            iov_base: octets.as_ptr().cast_mut().cast(),
            iov_len: octets.len(),
        };
        let mut header = blank().msg_hdr;
        header.msg_iov = &raw mut vector;
        header.msg_iovlen = 1;
        header.msg_name = (&raw const to.name).cast_mut().cast();
        header.msg_namelen = self.name_len;
        header.msg_control = (&raw const to.control).cast_mut().cast();
        header.msg_controllen = to.control_len as _;
        // SAFETY: the header points to memory of the lengths that it says, which the call only reads and which is
        // borrowed or local here.
        unsafe { libc::sendmsg(self.inner.as_raw_fd(), &raw const header, libc::MSG_DONTWAIT) >= 0 }
    }
}

/// A descriptor of one's own for what another one is open for.
pub fn duplicate(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: any number may be asked for: one that is no descriptor is an error. What is given was nobody's before.
    unsafe {
        let own = libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 0);
        if own < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(OwnedFd::from_raw_fd(own))
        }
    }
}

/// Set an option to 1; false where the system does not know it.
fn switch_on(socket: &UdpSocket, level: libc::c_int, option: libc::c_int) -> bool {
    let one: libc::c_int = 1;
    // SAFETY: the pointer is to a local of the length that is told, which the call only reads.
    unsafe {
        let size = size_of::<libc::c_int>() as libc::socklen_t;
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const one).cast(), size) == 0
    }
}

/// Hold a thread on one core.
pub fn pin(thread: &JoinHandle<()>, core: usize) -> io::Result<()> {
    // SAFETY: a cpu_set_t is an array of integers; CPU_SET checks the bounds; the thread was not joined, so its
    // handle is valid.
    let failed = unsafe {
        let mut cores: libc::cpu_set_t = zeroed();
        if core < libc::CPU_SETSIZE as usize {
            libc::CPU_SET(core, &mut cores);
        }
        libc::pthread_setaffinity_np(
            thread.as_pthread_t() as _,
            size_of::<libc::cpu_set_t>(),
            &raw const cores,
        )
    };
    if failed == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(failed))
    }
}

/// A sockaddr_in or sockaddr_in6, as the system wrote it.
#[derive(Clone)]
#[repr(C, align(8))]
struct Name([u8; size_of::<libc::sockaddr_in6>()]);

/// A control message with an in_pktinfo or in6_pktinfo, as the system wrote it.
#[derive(Clone)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// The octets of a packet, 67 cache lines long: were it 64, all packets would begin in the same set of a cache.
#[repr(C, align(64))]
struct Query([u8; QUERY_MAX], [u8; 192]);

/// Where a packet came from and which address it asked: what a reply outside the batch is sent by.
pub struct Source {
    name: Name,
    control: Control,
    control_len: usize,
}

impl Source {
    /// The client; None of a family that is neither IPv4 nor IPv6.
    pub fn client(&self) -> Option<SocketAddr> {
        self.name.address()
    }
}

impl Name {
    #[inline]
    fn address(&self) -> Option<SocketAddr> {
        let four = |at: usize| [self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]];
        let [f0, f1, p0, p1] = four(0);
        let port = u16::from_be_bytes([p0, p1]);
        match i32::from(u16::from_ne_bytes([f0, f1])) {
            libc::AF_INET => Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(four(4))), port)),
            libc::AF_INET6 => {
                let address = Ipv6Addr::from(<[u8; 16]>::try_from(&self.0[8..24]).unwrap_or_default());
                let (flow, scope) = (u32::from_ne_bytes(four(4)), u32::from_ne_bytes(four(24)));
                Some(SocketAddrV6::new(address, port, flow, scope).into())
            }
            _ => None,
        }
    }
}

/// A batch of packets, the replies to it, and all that the two calls need. It stays in the thread that made it.
pub struct Batch<'a> {
    socket: &'a Socket,
    // What the system writes to, or is pointed to by headers while it is written here, lies in cells; the
    // pointers hold because no vector ever grows.
    queries: Vec<UnsafeCell<Query>>,
    names: Vec<UnsafeCell<Name>>,
    controls: Vec<UnsafeCell<Control>>,
    vectors: Vec<UnsafeCell<libc::iovec>>, // BATCH for packets, as many for replies
    inbound: Vec<libc::mmsghdr>,
    outbound: Vec<libc::mmsghdr>,
    replies: Vec<UnsafeCell<Reply>>,
    received: usize,
    written: usize,
}

impl<'a> Batch<'a> {
    /// An empty batch for a socket.
    pub fn new(socket: &'a Socket) -> Self {
        let queries = cells(BATCH, || Query([0; _], [0; _]));
        let names = cells(BATCH, || Name([0; _]));
        let controls = cells(BATCH, || Control([0; _]));
        let empty = || libc::iovec {
            iov_base: null_mut(),
            iov_len: QUERY_MAX,
        };
        let mut vectors = cells(2 * BATCH, empty);
        for (vector, query) in vectors.iter_mut().zip(&queries) {
            vector.get_mut().iov_base = query.get().cast();
        }
        let message = |i: usize| {
            let mut message = blank();
            message.msg_hdr.msg_iov = vectors[i].get();
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_name = names[i % BATCH].get().cast();
            message.msg_hdr.msg_namelen = socket.name_len;
            if socket.interface.is_some() {
                message.msg_hdr.msg_control = controls[i % BATCH].get().cast();
                message.msg_hdr.msg_controllen = CONTROL as _;
            }
            message
        };
        Self {
            socket,
            inbound: (0..BATCH).map(message).collect(),
            outbound: (BATCH..2 * BATCH).map(message).collect(),
            replies: cells(BATCH, Reply::new),
            queries,
            names,
            controls,
            vectors,
            received: 0,
            written: 0,
        }
    }

    /// Wait for packets and take those that are there: how many. Nothing for a quarter of a second: WouldBlock.
    pub fn receive(&mut self) -> io::Result<usize> {
        if self.socket.interface.is_some() {
            for message in &mut self.inbound[..self.received] {
                message.msg_hdr.msg_controllen = CONTROL as _;
            }
        }
        (self.received, self.written) = (0, 0);
        // SAFETY: the headers point to vectors, names and controls of the lengths that they say, all in cells that
        // this batch owns; no reference into them is alive, for `packet` lends them only as long as `self`.
        let got = unsafe {
            libc::recvmmsg(
                self.socket.inner.as_raw_fd(),
                self.inbound.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_WAITFORONE,
                null_mut(),
            )
        };
        self.received = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
        Ok(self.received)
    }

    /// Packet `i` of those received, its client, and an empty reply. None of what is no packet (see `wake`).
    #[inline]
    pub fn packet(&mut self, i: usize) -> Option<(&[u8], SocketAddr, &mut Reply)> {
        let message = &mut self.inbound[..self.received][i];
        if message.msg_hdr.msg_namelen != self.socket.name_len {
            message.msg_hdr.msg_namelen = self.socket.name_len;
            return None;
        }
        // SAFETY: the system writes to the first two in `receive` only and reads the reply in `send` only; both need
        // `self` for themselves, as these references do.
        let (query, name, reply) = unsafe {
            (
                &*self.queries[i].get(),
                &*self.names[i].get(),
                &mut *self.replies[self.written].get(),
            )
        };
        reply.clear();
        Some((&query.0[..message.msg_len as usize], name.address()?, reply))
    }

    /// The reply that was written last is to be sent to whom packet `i` came from.
    #[inline]
    pub fn keep(&mut self, i: usize) {
        let header = &mut self.outbound[self.written].msg_hdr;
        // SAFETY: nobody has a reference to a reply or a vector while this has `self` for itself.
        unsafe {
            let reply = &*self.replies[self.written].get();
            *self.vectors[BATCH + self.written].get() = libc::iovec {
                iov_base: reply.as_ptr().cast_mut().cast(),
                iov_len: reply.len(),
            };
        }
        header.msg_name = self.names[i].get().cast();
        if self.socket.interface.is_some() {
            header.msg_control = self.controls[i].get().cast();
            header.msg_controllen = self.inbound[i].msg_hdr.msg_controllen;
            self.forget_interface(i);
        }
        self.written += 1;
    }

    /// Packet `i`, and how to answer it later.
    pub fn copy(&mut self, i: usize) -> (Box<[u8]>, Source) {
        self.forget_interface(i);
        let message = &self.inbound[i];
        // SAFETY: as in `packet`.
        let (query, name, control) = unsafe {
            (
                &*self.queries[i].get(),
                &*self.names[i].get(),
                &*self.controls[i].get(),
            )
        };
        let source = Source {
            name: name.clone(),
            control: control.clone(),
            control_len: message.msg_hdr.msg_controllen as _,
        };
        (query.0[..message.msg_len as usize].into(), source)
    }

    /// Send the replies that were kept; how many the system did not take.
    pub fn send(&mut self) -> u64 {
        let (mut at, mut unsent) = (0, 0);
        while at < self.written {
            let rest = &mut self.outbound[at..self.written];
            // SAFETY: the headers point to vectors, names and controls in cells that this batch owns, and the
            // vectors to its replies, which are not written to between `keep` and here. The call only reads them.
            let sent = unsafe {
                libc::sendmmsg(
                    self.socket.inner.as_raw_fd(),
                    rest.as_mut_ptr(),
                    rest.len() as libc::c_uint,
                    libc::MSG_DONTWAIT,
                )
            };
            // It stops at one that fails, and says so only where that is the first.
            unsent += u64::from(sent <= 0);
            at += usize::try_from(sent).unwrap_or(0).max(1);
        }
        self.written = 0;
        unsent
    }

    /// The way back need not be the way here, and a link-local client's own address carries its zone.
    #[inline]
    fn forget_interface(&self, i: usize) {
        if let Some(at) = self.socket.interface {
            // SAFETY: as in `packet`; the reference ends here.
            unsafe { (&mut *self.controls[i].get()).0[at..at + 4].fill(0) };
        }
    }
}

fn cells<T>(count: usize, make: impl Fn() -> T) -> Vec<UnsafeCell<T>> {
    (0..count).map(|_| UnsafeCell::new(make())).collect()
}

fn blank() -> libc::mmsghdr {
    // SAFETY: it is made of integers and pointers, for which zero is a value.
    unsafe { zeroed() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_of(socket: &Socket) -> UdpSocket {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        client.connect(socket.inner.local_addr().unwrap()).unwrap();
        client
    }

    fn receive(batch: &mut Batch<'_>, count: usize) {
        while batch.received < count {
            batch.receive().unwrap();
        }
    }

    #[test]
    fn a_reply_that_is_refused_is_counted_and_those_behind_it_are_sent() {
        let socket = Socket::new(UdpSocket::bind("127.0.0.1:0").unwrap().into()).unwrap();
        let clients = [client_of(&socket), client_of(&socket), client_of(&socket)];
        for (i, client) in clients.iter().enumerate() {
            client.send(&[i as u8]).unwrap();
        }
        let mut batch = Batch::new(&socket);
        receive(&mut batch, 3);
        batch.names[1].get_mut().0[2..4].fill(0); // nobody can be sent anything at port 0
        for i in 0..3 {
            let (packet, _, reply) = batch.packet(i).unwrap();
            reply.put(&[packet, b"!"].concat());
            batch.keep(i);
        }
        assert_eq!(batch.send(), 1);
        for i in [0, 2] {
            let mut got = [0; 2];
            assert_eq!(clients[i].recv(&mut got).unwrap(), 2);
            assert_eq!(got, [i as u8, b'!']);
        }
        assert_eq!(batch.send(), 0, "all are sent once");
    }

    #[test]
    fn who_waits_is_woken_and_takes_it_for_no_packet() {
        let socket = Socket::new(UdpSocket::bind("127.0.0.1:0").unwrap().into()).unwrap();
        socket.wake();
        let mut batch = Batch::new(&socket);
        for i in 0..batch.receive().unwrap_or(0) {
            assert!(batch.packet(i).is_none());
        }
    }

    #[test]
    fn an_ipv6_client_keeps_its_zone_and_a_packet_s_interface_is_forgotten() {
        let socket = Socket::new(UdpSocket::bind("[::]:0").unwrap().into()).unwrap();
        let client = UdpSocket::bind("[::1]:0").unwrap();
        client
            .send_to(b"who", ("::1", socket.inner.local_addr().unwrap().port()))
            .unwrap();
        let mut batch = Batch::new(&socket);
        receive(&mut batch, 1);
        batch.names[0].get_mut().0[24..].copy_from_slice(&7u32.to_ne_bytes());
        let (packet, source) = batch.copy(0);
        assert_eq!((&*packet, source.control_len), (&b"who"[..], CONTROL));
        assert_eq!(source.control.0[DATA..DATA + 16], Ipv6Addr::LOCALHOST.octets());
        assert_eq!(source.control.0[DATA + 16..DATA + 20], [0; 4]);
        let Some(SocketAddr::V6(address)) = source.client() else {
            panic!("an IPv6 client")
        };
        assert_eq!((address.ip(), address.scope_id()), (&Ipv6Addr::LOCALHOST, 7));
        assert_eq!(address.port(), client.local_addr().unwrap().port());
    }
}
