//! What Python sees of the places: databases read, places asked of it, classes compiled.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyDict, PyList};

use crate::mmdb::{Record, Wanted, read};
use crate::place::{Classifier, Classify, Places, Plan, Run};
use crate::subnet::Subnet;
use crate::survey::{DATABASES, Survey};

/// What is known of all addresses: see `geodns/_native.pyi`.
#[pyclass(frozen, name = "Survey")]
pub struct PySurvey {
    survey: Survey,
}

#[pymethods]
impl PySurvey {
    #[new]
    #[pyo3(signature = (databases, own4, own6, *, subdivisions, city, coordinates, systems))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        databases: Vec<Option<PyBackedBytes>>,
        own4: Vec<(u32, u32)>,
        own6: Vec<(u128, u32)>,
        subdivisions: bool,
        city: bool,
        coordinates: bool,
        systems: std::collections::HashSet<u64>,
    ) -> PyResult<Self> {
        if databases.len() != DATABASES {
            return Err(PyValueError::new_err("databases are City, Country, ASN and ISP"));
        }
        let wanted = Wanted {
            subdivisions,
            city,
            coordinates,
            systems,
        };
        py.detach(|| {
            let mut contents = [const { None }; DATABASES];
            for (octets, contents) in databases.iter().zip(&mut contents) {
                let read = octets.as_ref().map(|octets| read(octets, &wanted)).transpose();
                *contents = read.map_err(|error| PyValueError::new_err(error.to_string()))?;
            }
            let own4: Vec<_> = own4
                .into_iter()
                .map(|(start, value)| Run { start, value })
                .collect();
            let own6: Vec<_> = own6
                .into_iter()
                .map(|(start, value)| Run { start, value })
                .collect();
            if own4.first().is_none_or(|run| run.start != 0) || own6.first().is_none_or(|run| run.start != 0)
            {
                return Err(PyValueError::new_err("the first run begins at 0"));
            }
            Ok(Self {
                survey: Survey::of((&own4, &own6), contents),
            })
        })
    }

    /// The different places: which answer of own networks, and which record of each database.
    fn places<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(
            py,
            self.survey
                .places
                .iter()
                .map(|known| (known[0], known[1], known[2], known[3], known[4])),
        )
    }

    /// The records of a database, in the layout of its file.
    fn records<'py>(&self, py: Python<'py>, database: usize) -> PyResult<Bound<'py, PyList>> {
        let records = self
            .survey
            .records
            .get(database)
            .map_or(&[][..], |records| records);
        let made = records
            .iter()
            .map(|of| record(py, of))
            .collect::<PyResult<Vec<_>>>()?;
        PyList::new(py, made)
    }

    /// Compile the classes of a plan, one for each place.
    fn classified(&self, py: Python<'_>, classes: Vec<u32>, everybody: bool) -> PyResult<PyPlaces> {
        if classes.len() != self.survey.places.len() {
            return Err(PyValueError::new_err("there is a class for each place"));
        }
        let places = py.detach(|| self.survey.classified(&classes, everybody));
        Ok(PyPlaces {
            places: Arc::new(places),
        })
    }

    /// How many runs of addresses there are.
    fn runs(&self) -> usize {
        self.survey.runs()
    }
}

/// The classes of a plan by address: see `geodns/_native.pyi`.
#[pyclass(frozen, name = "Places")]
pub struct PyPlaces {
    places: Arc<Places>,
}

#[pymethods]
impl PyPlaces {
    /// How many ranges of addresses have a class of their own, of IPv4 and of IPv6.
    fn ranges(&self) -> (usize, usize) {
        (self.places.v4.len(), self.places.v6.len())
    }
}

/// The classes of all plans: see `geodns/_native.pyi`.
#[pyclass(frozen, name = "Classifier")]
pub struct PyClassifier {
    /// What threads look classes up in.
    pub classifier: Arc<Classifier>,
}

#[pymethods]
impl PyClassifier {
    #[new]
    fn new(plans: Vec<(Bound<'_, PyPlaces>, Vec<u32>)>, widest4: u8, widest6: u8) -> Self {
        let plan = |(places, classes): (Bound<'_, PyPlaces>, _)| Plan {
            places: places.get().places.clone(),
            classes,
        };
        let plans = plans.into_iter().map(plan).collect();
        Self {
            classifier: Arc::new(Classifier {
                plans,
                widest: (widest4, widest6),
            }),
        }
    }

    /// A client's class in a plan, and the scope for which it holds.
    fn find(&self, plan: u32, family: u8, address: u128, prefix: u8) -> PyResult<(u32, u8)> {
        let found = self.classifier.find(
            plan,
            &Subnet {
                family,
                address,
                prefix,
                shift: 0,
            },
        );
        found.ok_or_else(|| PyValueError::new_err("there is no such plan"))
    }
}

/// A record as a database of its kind would hold it.
fn record<'py>(py: Python<'py>, of: &Record) -> PyResult<Bound<'py, PyDict>> {
    let made = PyDict::new(py);
    let one = |key: &str, value: Bound<'py, PyAny>| -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item(key, value)?;
        Ok(dict)
    };
    if let Some(code) = &of.country {
        made.set_item("country", one("iso_code", code.into_pyobject(py)?.into_any())?)?;
    }
    if let Some(code) = &of.continent {
        made.set_item("continent", one("code", code.into_pyobject(py)?.into_any())?)?;
    }
    if !of.subdivisions.is_empty() {
        let parts = of
            .subdivisions
            .iter()
            .map(|code| one("iso_code", code.into_pyobject(py)?.into_any()));
        made.set_item(
            "subdivisions",
            PyList::new(py, parts.collect::<PyResult<Vec<_>>>()?)?,
        )?;
    }
    if of.city.is_some() || of.geoname.is_some() {
        let city = PyDict::new(py);
        city.set_item(
            "names",
            one("en", of.city.as_ref().into_pyobject(py)?.into_any())?,
        )?;
        city.set_item("geoname_id", of.geoname)?;
        made.set_item("city", city)?;
    }
    if let Some((latitude, longitude)) = of.coordinates {
        let location = PyDict::new(py);
        location.set_item("latitude", f64::from_bits(latitude))?;
        location.set_item("longitude", f64::from_bits(longitude))?;
        made.set_item("location", location)?;
    }
    if let Some(number) = of.system {
        made.set_item("autonomous_system_number", number)?;
    }
    Ok(made)
}
