//! The UDP service and the rate limit as Python sees them.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyBlockingIOError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::handler::{Answer, Reply};
use crate::limit::{Limiter, OUTCOMES, Rate, Settings};
use crate::networks::Networks;
use crate::passes::Asker;
use crate::serve::Service;
use crate::sockets::{Socket, duplicate};

/// Add these classes to a module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<UdpService>()?;
    module.add_class::<PyAsker>()?;
    module.add_class::<PyRate>()
}

/// The sockets with these descriptors, which stay the caller's: each is duplicated.
pub fn sockets(descriptors: &[i32]) -> io::Result<Vec<Socket>> {
    descriptors
        .iter()
        .map(|descriptor| Socket::new(duplicate(*descriptor)?))
        .collect()
}

/// `geodns._native.UdpService`: see there.
#[pyclass(frozen, module = "geodns._native")]
pub struct UdpService(pub Service);

/// `geodns._native.Asker`: see there.
#[pyclass(frozen, module = "geodns._native", name = "Asker")]
pub struct PyAsker(Asker);

/// A packet, its client's address, the reply that it got.
type ShownParts<'py> = (Bound<'py, PyBytes>, String, Option<Bound<'py, PyBytes>>);

#[pymethods]
impl UdpService {
    fn fileno(&self) -> i32 {
        self.0.passes().ear().as_raw_fd()
    }

    fn recvfrom<'py>(
        &self,
        py: Python<'py>,
        _size: usize,
    ) -> PyResult<(Bound<'py, PyBytes>, (String, PyAsker))> {
        let passed = self
            .0
            .passes()
            .next()
            .ok_or_else(|| PyBlockingIOError::new_err("nothing was passed"))?;
        let client = passed
            .asker
            .source
            .client()
            .map_or_else(String::new, |client| text(&client));
        Ok((PyBytes::new(py, &passed.octets), (client, PyAsker(passed.asker))))
    }

    fn sendto(&self, reply: &[u8], client: (String, Bound<'_, PyAsker>)) -> PyResult<()> {
        let sent = self.0.reply(&client.1.get().0, reply);
        sent.then_some(())
            .ok_or_else(|| PyOSError::new_err("the system does not take the reply"))
    }

    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (counts, found) = (self.0.counts(), PyDict::new(py));
        found.set_item("received", counts.received)?;
        found.set_item("silent", counts.silent)?;
        found.set_item("faults", counts.faults)?;
        found.set_item("errors", counts.errors)?;
        found.set_item("unsent", counts.unsent)?;
        found.set_item("passed", counts.passed)?;
        found.set_item("unpassed", counts.unpassed)?;
        found.set_item("unshown", counts.unshown)?;
        Ok(found)
    }

    fn last_fault(&self) -> String {
        self.0.last_fault()
    }

    fn shown_fileno(&self) -> i32 {
        self.0.shown().ear().as_raw_fd()
    }

    fn shown<'py>(&self, py: Python<'py>) -> Option<ShownParts<'py>> {
        let shown = self.0.shown().next()?;
        let reply = shown.reply.map(|octets| PyBytes::new(py, &octets));
        Some((PyBytes::new(py, &shown.octets), text(&shown.client), reply))
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }
}

/// `geodns._native.Rate`: see there.
#[pyclass(frozen, module = "geodns._native", name = "Rate")]
pub struct PyRate {
    /// What the threads' limiters are made from.
    pub rate: Arc<Rate>,
    own: Mutex<Limiter>,
}

#[pymethods]
impl PyRate {
    #[new]
    #[pyo3(signature = (responses, *, slip=1, exempt=Vec::new(), dry_run=false, blocks=65536, payload=1232))]
    fn new(
        responses: u32,
        slip: u64,
        exempt: Vec<String>,
        dry_run: bool,
        blocks: usize,
        payload: u16,
    ) -> PyResult<Self> {
        let exempt = Networks::parse(exempt.iter().map(String::as_str));
        let exempt = exempt.ok_or_else(|| PyValueError::new_err("exempt: not all are networks"))?;
        let rate = Rate::new(Settings {
            responses,
            slip,
            exempt,
            dry_run,
            blocks,
            payload,
        });
        Ok(Self {
            own: Mutex::new(rate.limiter()),
            rate,
        })
    }

    fn over(&self, client: &str, now: u64) -> PyResult<bool> {
        Ok(self.own().over(address(client)?, now))
    }

    fn spares(&self, client: &str, trusted: bool) -> PyResult<bool> {
        Ok(self.own().spares(address(client)?, || trusted))
    }

    fn turn_away<'py>(&self, py: Python<'py>, packet: &[u8]) -> Option<Bound<'py, PyBytes>> {
        let mut reply = Reply::new();
        let answer = self.own().turn_away(packet, &mut reply);
        (answer == Answer::Reply).then(|| PyBytes::new(py, &reply))
    }

    #[getter]
    fn outcomes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let found = PyDict::new(py);
        for (outcome, count) in OUTCOMES.iter().zip(self.rate.outcomes()) {
            found.set_item(outcome, count)?;
        }
        Ok(found)
    }

    #[getter]
    fn displaced(&self) -> u64 {
        self.rate.displaced()
    }

    #[getter]
    fn watched(&self) -> usize {
        self.rate.watched(self.rate.now())
    }
}

impl PyRate {
    fn own(&self) -> MutexGuard<'_, Limiter> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn address(text: &str) -> PyResult<IpAddr> {
    text.parse()
        .map_err(|_| PyValueError::new_err(format!("{text:?} is no address")))
}

/// A client's address as Python's sockets write it (inet_ntop(3)), without a zone.
fn text(client: &SocketAddr) -> String {
    match client.ip() {
        IpAddr::V6(address) if embeds(address) => {
            let [.., a, b, c, d] = address.octets();
            format!("::{a}.{b}.{c}.{d}")
        }
        address => address.to_string(),
    }
}

/// Whether the system writes the last four octets in decimal where `Display` does not: ::/96, but not near ::.
fn embeds(address: Ipv6Addr) -> bool {
    let [head @ .., seventh, _] = address.segments();
    head == [0; 6] && seventh != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_written_as_the_system_writes_them() {
        for told in [
            "192.0.2.1",
            "::",
            "::1",
            "::ffff",
            "::1.0.0.0",
            "::192.0.2.1",
            "::ffff:192.0.2.1",
            "2001:db8::1:0:0:1",
            "2001:db8:0:1:1:1:1:1",
            "fe80::1",
        ] {
            assert_eq!(text(&SocketAddr::new(told.parse().unwrap(), 53)), told);
        }
    }
}
