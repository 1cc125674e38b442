//! What Python compiles places with (`geodns/_native.pyi`): layers of facts about addresses, and what they lead to.

use std::collections::HashSet;
use std::sync::Arc;

use pyo3::IntoPyObjectExt;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use crate::mmdb::{self, Records, Value};
use crate::place::{Classifier, Classify, Places, Plan, Ranges};
use crate::runs::{Address, Layer, Runs};
use crate::subnet::Subnet;

/// Add what is here to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyLayer>()?;
    module.add_class::<PyRecords>()?;
    module.add_class::<PyPlaces>()?;
    module.add_class::<PyClassifier>()
}

/// One fact about every address: see `geodns/_native.pyi`.
#[pyclass(frozen, name = "Layer")]
struct PyLayer {
    layer: Arc<Layer>,
}

fn of(layer: Layer) -> PyLayer {
    PyLayer {
        layer: Arc::new(layer),
    }
}

fn unnumbered() -> PyErr {
    PyValueError::new_err("there is a number without a value")
}

#[pymethods]
impl PyLayer {
    #[new]
    fn new(v4: Vec<(u32, u32)>, v6: Vec<(u128, u32)>) -> PyResult<Self> {
        let layer = Layer {
            v4: runs(v4),
            v6: runs(v6),
        };
        if !layer.sound() {
            return Err(PyValueError::new_err(
                "runs begin at the first address, and ascend",
            ));
        }
        Ok(of(layer))
    }

    /// The blocks of a database, and its records.
    #[staticmethod]
    fn read(py: Python<'_>, content: PyBackedBytes, parts: HashSet<String>) -> PyResult<(Self, PyRecords)> {
        let read = py.detach(|| mmdb::read(&content, &parts));
        let contents = read.map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok((
            of(contents.layer),
            PyRecords {
                records: contents.records,
            },
        ))
    }

    /// Several layers as one.
    #[staticmethod]
    fn over<'py>(
        py: Python<'py>,
        layers: Vec<PyRef<'py, Self>>,
    ) -> PyResult<(Self, Vec<Bound<'py, PyBytes>>)> {
        let layers: Vec<Arc<Layer>> = layers.iter().map(|layer| layer.layer.clone()).collect();
        if layers.is_empty() {
            return Err(PyValueError::new_err("of nothing nothing is made"));
        }
        let (layer, columns) = py.detach(|| {
            let layers: Vec<&Layer> = layers.iter().map(|layer| &**layer).collect();
            let (layer, met) = Layer::over(&layers);
            let column = |at: usize| {
                met.iter()
                    .flat_map(move |values| values[at].to_ne_bytes())
                    .collect()
            };
            (layer, (0..layers.len()).map(column).collect::<Vec<Vec<u8>>>())
        });
        Ok((
            of(layer),
            columns.iter().map(|column| PyBytes::new(py, column)).collect(),
        ))
    }

    fn mapped(&self, py: Python<'_>, values: PyBuffer<u32>) -> PyResult<Self> {
        let (layer, values) = (self.layer.clone(), values.to_vec(py)?);
        py.detach(|| layer.mapped(&values)).map(of).ok_or_else(unnumbered)
    }

    fn addresses(&self, py: Python<'_>, values: usize) -> PyResult<Vec<u64>> {
        let layer = self.layer.clone();
        py.detach(|| layer.addresses(values)).ok_or_else(unnumbered)
    }

    fn starts(&self) -> (Vec<u32>, Vec<u128>) {
        (self.layer.v4.starts().to_vec(), self.layer.v6.starts().to_vec())
    }
}

fn runs<A: Address>(of: Vec<(A, u32)>) -> Runs<A> {
    let mut runs = Runs::default();
    of.into_iter().for_each(|(start, value)| runs.begin(start, value));
    runs
}

/// The different records of a database: see `geodns/_native.pyi`.
#[pyclass(frozen, name = "Records")]
struct PyRecords {
    records: Records,
}

#[pymethods]
impl PyRecords {
    fn __len__(&self) -> usize {
        self.records.count()
    }

    fn pick<'py>(&self, py: Python<'py>, numbers: Vec<usize>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let record = |number| self.records.get(number).ok_or_else(unnumbered);
        numbers
            .into_iter()
            .map(|number| object(py, &record(number)?))
            .collect()
    }
}

fn object<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Text(text) => Ok(PyString::intern(py, text).into_any()),
        Value::Whole(number) => number.into_bound_py_any(py),
        Value::Float(number) => number.into_bound_py_any(py),
        Value::Map(entries) => {
            let found = PyDict::new(py);
            for (key, value) in entries {
                found.set_item(key, object(py, value)?)?;
            }
            Ok(found.into_any())
        }
        Value::List(items) => {
            let items: Vec<_> = items
                .iter()
                .map(|item| object(py, item))
                .collect::<PyResult<_>>()?;
            Ok(PyList::new(py, items)?.into_any())
        }
        Value::Other => Ok(py.None().into_bound(py)),
    }
}

/// The classes of a plan by address: see `geodns/_native.pyi`.
#[pyclass(frozen, name = "Places")]
struct PyPlaces {
    places: Arc<Places>,
}

#[pymethods]
impl PyPlaces {
    #[new]
    fn new(py: Python<'_>, layer: &PyLayer, everybody: bool) -> Self {
        let layer = layer.layer.clone();
        let places = py.detach(|| Places {
            v4: Ranges::of(layer.v4.clone()),
            v6: Ranges::of(layer.v6.clone()),
            everybody,
        });
        Self {
            places: Arc::new(places),
        }
    }

    #[getter]
    fn runs(&self) -> (usize, usize) {
        (self.places.v4.count(), self.places.v6.count())
    }

    #[getter]
    fn size(&self) -> usize {
        self.places.v4.size() + self.places.v6.size()
    }
}

/// From a client to its class: see `geodns/_native.pyi`.
#[pyclass(frozen, name = "Classifier")]
pub struct PyClassifier {
    /// Who does it.
    pub classifier: Arc<Classifier>,
}

#[pymethods]
impl PyClassifier {
    #[new]
    fn new(plans: Vec<Option<(PyRef<'_, PyPlaces>, Vec<u32>)>>, ipv4: u8, ipv6: u8) -> Self {
        let plan = |(places, classes): (PyRef<'_, PyPlaces>, _)| Plan {
            places: places.places.clone(),
            classes,
        };
        let plans = plans.into_iter().map(|known| known.map(plan)).collect();
        Self {
            classifier: Arc::new(Classifier {
                plans,
                widest: (ipv4, ipv6),
            }),
        }
    }

    fn find(&self, plan: u32, family: u8, address: u128, prefix: u8, shift: u8) -> Option<(u32, u8)> {
        self.classifier.find(
            plan,
            &Subnet {
                family,
                address,
                prefix,
                shift,
            },
        )
    }

    /// Classes and scopes of many whole addresses, packed.
    fn find_all<'py>(
        &self,
        py: Python<'py>,
        plan: u32,
        family: u8,
        addresses: PyBackedBytes,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let prefix = if family == 4 { 32 } else { 128 };
        let width = usize::from(prefix) / 8;
        let found = py.detach(|| {
            let mut found = Vec::with_capacity(addresses.len() / width * 5);
            for octets in addresses.chunks_exact(width) {
                let address = octets
                    .iter()
                    .fold(0, |address: u128, octet| address << 8 | u128::from(*octet));
                let (class, scope) = self.classifier.find(
                    plan,
                    &Subnet {
                        family,
                        address,
                        prefix,
                        shift: 0,
                    },
                )?;
                found.extend_from_slice(&class.to_be_bytes());
                found.push(scope);
            }
            Some(found)
        });
        let found = found.ok_or_else(|| PyValueError::new_err("there is no such plan"))?;
        Ok(PyBytes::new(py, &found))
    }
}
