//! What Python sees of the UDP service: threads started and stopped, counts, what they pass on.

use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::lane::Lane;
use crate::passes::Passed;
use crate::serve::{Options, Service};
use crate::sockets::{Socket, duplicate};

/// The threads of one address and port: see `geodns/_native.pyi`.
#[pyclass(frozen, name = "Service")]
pub struct PyService {
    service: Arc<Mutex<Service>>,
    ear: i32,
}

impl PyService {
    /// Serve sockets by workers of a lane, whose numbers begin with `first`.
    pub fn start(
        lane: &Arc<Lane>,
        sockets: &[i32],
        first: usize,
        waiting: usize,
        cores: &[usize],
    ) -> PyResult<Self> {
        let sockets = sockets
            .iter()
            .map(|fd| Socket::new(duplicate(*fd)?))
            .collect::<Result<Vec<_>, _>>()?;
        let workers = (first..first + sockets.len())
            .map(|number| lane.worker(number))
            .collect();
        let options = Options {
            epochs: lane.epochs(),
            waiting,
            cores,
            first,
        };
        let service = Service::start(sockets, workers, &options)?;
        let ear = service.passes().ear().as_raw_fd();
        Ok(Self {
            service: Arc::new(Mutex::new(service)),
            ear,
        })
    }

    fn service(&self) -> std::sync::MutexGuard<'_, Service> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl PyService {
    /// Readable while packets wait to be taken.
    #[getter]
    fn ear(&self) -> i32 {
        self.ear
    }

    /// Stop answering: when this returns no thread is left.
    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.service().stop());
    }

    /// (received, silent, faults, errors, unsent, passed, overflow) since the start.
    fn counts(&self) -> (u64, u64, u64, u64, u64, u64, u64) {
        let c = self.service().counts();
        (
            c.received, c.silent, c.faults, c.errors, c.unsent, c.passed, c.overflow,
        )
    }

    /// What the last fault said; empty where there was none.
    fn last_fault(&self) -> String {
        self.service().last_fault()
    }

    /// Up to `most` of the packets that wait.
    fn take(&self, most: usize) -> Vec<PyPassed> {
        let taken = self.service().passes().take(most);
        taken
            .into_iter()
            .map(|passed| PyPassed {
                passed,
                service: self.service.clone(),
            })
            .collect()
    }
}

/// A packet that was passed on: see `geodns/_native.pyi`.
#[pyclass(frozen, name = "Passed")]
pub struct PyPassed {
    passed: Passed,
    service: Arc<Mutex<Service>>,
}

#[pymethods]
impl PyPassed {
    #[getter]
    fn packet<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.passed.octets)
    }

    /// The source's address, without a zone.
    #[getter]
    fn client(&self) -> PyResult<String> {
        let client = self.passed.source.client().map(|client| client.ip());
        client
            .as_ref()
            .map(IpAddr::to_string)
            .ok_or_else(|| PyOSError::new_err("a client of no family"))
    }

    /// Send the reply; false where the system does not take it.
    fn reply(&self, octets: &[u8]) -> bool {
        self.service
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .reply(&self.passed, octets)
    }
}
