//! What Python sees (`geodns/_native.pyi`): compiled data in, counters and replies out.

use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;

use pyo3::buffer::{Element, PyBuffer};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::border_place::{self, PyClassifier};
use crate::border_serve::{self, PyRate, UdpService, sockets};
use crate::cookies::Cookies;
use crate::counts::{CAUSES, Cause, Counts, STATES, State};
use crate::lane::{Counted, Lane};
use crate::limit::Limited;
use crate::names::{Names, Parts};
use crate::networks::Networks;
use crate::place::{Classifier, Classify};
use crate::replay::{Arrival, Outcome, Replay};
use crate::serve::{Options, Service};
use crate::subnet::Subnet;
use crate::table::{AnswerSet, Pick, Row, Sheet, Table, Unsound};
use crate::terms::Terms;
use crate::wire::name_end;

/// The native lane.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("LAYOUT", env!("GEODNS_LAYOUT"))?;
    module.add("SOURCES", env!("GEODNS_SOURCES"))?;
    module.add_class::<PyNames>()?;
    module.add_class::<PyLane>()?;
    border_place::register(module)?;
    border_serve::register(module)?;
    module.add_class::<Wanted>()
}

impl From<Unsound> for PyErr {
    fn from(unsound: Unsound) -> Self {
        PyValueError::new_err(format!("the table contradicts itself: {}", unsound.0))
    }
}

/// What Python is to do before a packet can be answered.
#[pyclass(frozen, get_all)]
struct Wanted {
    /// Whose answer set is to be made; -1: the packet is Python's to answer.
    sheet: i64,
    /// Which class it is of.
    number: u32,
}

/// Names laid out for look-ups: see `geodns/_native.pyi`.
#[pyclass(frozen, name = "Names")]
struct PyNames {
    names: Arc<Names>,
}

#[pymethods]
impl PyNames {
    #[new]
    fn new(names: &Bound<'_, PyAny>) -> PyResult<Self> {
        let parts = parts(names)?;
        let names = names.py().detach(|| Names::of(parts))?;
        Ok(Self {
            names: Arc::new(names),
        })
    }

    fn find(&self, name: &[u8], qtype: u16) -> PyResult<Option<u32>> {
        if name_end(name, 0) != Some(name.len()) {
            return Err(PyValueError::new_err("that is no name"));
        }
        Ok(self.names.find(name, qtype))
    }

    fn size(&self) -> usize {
        self.names.size()
    }
}

/// What was counted since it was last asked: (slot, count), (cause, count), (state, count).
type Numbers = (
    Vec<(usize, u64)>,
    Vec<(&'static str, u64)>,
    Vec<(&'static str, u64)>,
);

fn numbers(counted: Counted) -> Numbers {
    (counted.answers, counted.aside, counted.cookies)
}

/// The native lane: see `geodns/_native.pyi`.
#[pyclass(frozen, name = "Lane")]
struct PyLane {
    lane: Arc<Lane>,
}

#[pymethods]
impl PyLane {
    #[new]
    fn new(threads: usize) -> PyResult<Self> {
        let names = Names::of(Parts {
            name_at: vec![0],
            types_at: vec![0],
            ..Parts::default()
        })?;
        let table = Table {
            names: Arc::new(names),
            sheets: Vec::new(),
        };
        Ok(Self {
            lane: Arc::new(Lane::new(table, threads)),
        })
    }

    /// Answer from other names, sheets and places from now on; all that was counted of those before.
    fn load(
        &self,
        names: &Bound<'_, PyNames>,
        sheets: Vec<Bound<'_, PyAny>>,
        places: Option<&Bound<'_, PyClassifier>>,
    ) -> PyResult<Numbers> {
        let py = names.py();
        let names = names.get().names.clone();
        if sheets.len() < names.sheets() {
            return Err(Unsound("rows name more sheets than there are".to_owned()).into());
        }
        let sheets = sheets
            .iter()
            .map(|s| Ok(Arc::new(sheet(s)?)))
            .collect::<PyResult<_>>()?;
        let table = Table { names, sheets };
        let places = places.map(|places| places.get().classifier.clone());
        Ok(numbers(py.detach(|| self.lane.replace(table, places))))
    }

    /// Look up classes elsewhere from now on.
    fn locate(&self, places: Option<&Bound<'_, PyClassifier>>) {
        let places = places.map(|places| places.get().classifier.clone());
        self.lane.change(|content| content.places = places);
    }

    /// Put other sheets in the places of some.
    fn publish(&self, py: Python<'_>, changed: Vec<(usize, Bound<'_, PyAny>)>) -> PyResult<()> {
        let mut sheets = self.lane.content().table.sheets.clone();
        for (number, changed) in changed {
            *place(&mut sheets, number)? = Arc::new(sheet(&changed)?);
        }
        py.detach(|| self.lane.change_over(|content| content.table.sheets = sheets));
        Ok(())
    }

    /// Add the answer set of a class to a sheet.
    fn fill(&self, sheet: usize, number: usize, made: &Bound<'_, PyAny>) -> PyResult<()> {
        let set = answer_set(made)?;
        let mut sheets = self.lane.content().table.sheets.clone();
        Arc::make_mut(place(&mut sheets, sheet)?).fill(number, set);
        self.lane.change(|content| content.table.sheets = sheets);
        Ok(())
    }

    /// Other terms from now on.
    fn agree(&self, terms: &Bound<'_, PyAny>, payload: u16, signed: bool) -> PyResult<()> {
        let terms = Arc::new(agreed(terms, payload, signed)?);
        self.lane.change(|content| content.terms = terms);
        Ok(())
    }

    /// What the threads counted since this was last asked.
    fn counted(&self) -> Numbers {
        numbers(self.lane.counted())
    }

    /// Serve UDP sockets with a thread each, the first of which is the lane's worker `first`.
    #[pyo3(signature = (descriptors, *, first, waiting, cores, rate, shown))]
    fn serve(
        &self,
        descriptors: Vec<i32>,
        first: usize,
        waiting: usize,
        cores: Vec<usize>,
        rate: Option<&Bound<'_, PyRate>>,
        shown: u32,
    ) -> PyResult<UdpService> {
        if first + descriptors.len() > self.lane.threads() {
            return Err(PyValueError::new_err("the lane has fewer threads"));
        }
        let workers = (first..first + descriptors.len()).map(|number| self.lane.worker(number, shown));
        let options = Options {
            epochs: self.lane.epochs(),
            waiting,
            cores: &cores,
            first,
        };
        let sockets = sockets(&descriptors)?;
        let service = match rate {
            None => Service::start(sockets, workers.collect(), &options)?,
            Some(rate) => {
                let rate = &rate.get().rate;
                let limited = workers.map(|worker| Limited::new(worker, rate.limiter()));
                Service::start(sockets, limited.collect(), &options)?
            }
        };
        Ok(UdpService(service))
    }

    /// The reply to a packet, None for silence, or what is wanted first.
    #[allow(clippy::too_many_arguments)]
    fn replay<'py>(
        &self,
        py: Python<'py>,
        reception: &Bound<'py, PyAny>,
        tally: Bound<'py, PyAny>,
        classify: Option<Bound<'py, PyAny>>,
        packet: &[u8],
        client: &str,
        limit: u16,
        chance: u32,
        now: u64,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let client = address(client)?;
        let content = self.lane.content();
        let places = Asking {
            classify: classify.as_ref(),
            places: content.places.as_deref(),
            error: Cell::new(None),
        };
        let mut counts = PyCounts {
            tally: &tally,
            reception,
            error: None,
        };
        let replay = Replay {
            table: &content.table,
            terms: &content.terms,
            places: &places,
        };
        let mut out = Vec::new();
        let arrival = Arrival {
            packet,
            client,
            limit,
            chance,
            now,
        };
        let outcome = replay.answer(&arrival, &mut counts, &mut out);
        if let Some(error) = places.error.take().or(counts.error) {
            return Err(error);
        }
        let wanted = |sheet, number| Ok(Some(Bound::new(py, Wanted { sheet, number })?.into_any()));
        match outcome {
            Outcome::Reply => Ok(Some(PyBytes::new(py, &out).into_any())),
            Outcome::Silence => Ok(None),
            Outcome::Pass => wanted(-1, 0),
            Outcome::Missing { sheet, class } => wanted(sheet.into(), class),
        }
    }
}

/// Counters that Python keeps: an array, and what its reception counts.
struct PyCounts<'a, 'py> {
    tally: &'a Bound<'py, PyAny>,
    reception: &'a Bound<'py, PyAny>,
    error: Option<PyErr>,
}

impl<'py> PyCounts<'_, 'py> {
    /// Add one to what `of` holds under a key; how much it was before.
    fn add(&mut self, of: PyResult<Bound<'py, PyAny>>, key: impl IntoPyObject<'py> + Copy) -> u64 {
        let add = || {
            let of = of?;
            let before: u64 = of.get_item(key)?.extract()?;
            of.set_item(key, before + 1)?;
            Ok(before)
        };
        add().unwrap_or_else(|error| {
            self.error = Some(error);
            0
        })
    }
}

impl Counts for PyCounts<'_, '_> {
    fn take(&mut self, slot: u32) -> u64 {
        self.add(Ok(self.tally.clone()), slot)
    }

    fn aside(&mut self, cause: Cause) {
        self.add(self.reception.getattr("aside"), CAUSES[cause as usize]);
    }

    fn cookie(&mut self, state: State) {
        self.add(self.reception.getattr("cookies"), STATES[state as usize]);
    }
}

/// Python's classifier, a callable of (plan, family, address, prefix, shift) that gives (class, scope); else ours.
struct Asking<'a, 'py> {
    classify: Option<&'a Bound<'py, PyAny>>,
    places: Option<&'a Classifier>,
    error: Cell<Option<PyErr>>,
}

impl Classify for Asking<'_, '_> {
    fn find(&self, plan: u32, subnet: &Subnet) -> Option<(u32, u8)> {
        let Some(classify) = self.classify else {
            return self.places?.find(plan, subnet);
        };
        let asked = (plan, subnet.family, subnet.address, subnet.prefix, subnet.shift);
        match classify.call1(asked).and_then(|found| found.extract()) {
            Ok(found) => Some(found),
            Err(error) => {
                self.error.set(Some(error));
                None
            }
        }
    }
}

fn place(sheets: &mut [Arc<Sheet>], number: usize) -> PyResult<&mut Arc<Sheet>> {
    sheets
        .get_mut(number)
        .ok_or_else(|| PyValueError::new_err("there is no such sheet"))
}

/// A source as the system writes it; a link's scope id is dropped.
fn address(client: &str) -> PyResult<IpAddr> {
    let (plain, _) = client.split_once('%').unwrap_or((client, ""));
    plain
        .parse()
        .map_err(|_| PyValueError::new_err(format!("{client:?} is no address")))
}

fn array<T: Element>(of: &Bound<'_, PyAny>, name: &str) -> PyResult<Vec<T>> {
    let found = of.getattr(name)?;
    if found.is_empty()? {
        return Ok(Vec::new()); // it lies anywhere
    }
    PyBuffer::<T>::get(&found)?.to_vec(of.py())
}

fn get<'py, T>(of: &Bound<'py, PyAny>, name: &str) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    of.getattr(name)?.extract()
}

/// `geodns.core.table.Names`.
fn parts(names: &Bound<'_, PyAny>) -> PyResult<Parts> {
    let words = |name| array::<u16>(names, name);
    let (flags, an, ns) = (words("a_flags")?, words("a_an")?, words("a_ns")?);
    let (ar, more) = (words("a_ar")?, words("a_more")?);
    let (body, extra) = (array::<u32>(names, "a_body")?, array::<u32>(names, "a_extra")?);
    let (sheet, slot) = (array::<i32>(names, "a_sheet")?, array::<u32>(names, "a_slot")?);
    let count = flags.len();
    let same = [
        an.len(),
        ns.len(),
        ar.len(),
        more.len(),
        extra.len(),
        sheet.len(),
        slot.len(),
    ];
    if same.iter().any(|&n| n != count) || body.len() != count + 1 {
        return Err(Unsound("rows lack columns".to_owned()).into());
    }
    let row = |i: usize| Row {
        body: body[i],
        extra: extra[i],
        end: body[i + 1],
        sheet: sheet[i],
        slot: slot[i],
        flags: flags[i],
        an: an[i],
        ns: ns[i],
        ar: ar[i],
        more: more[i],
    };
    Ok(Parts {
        wire: get(names, "wire")?,
        name_at: array(names, "name_at")?,
        types: array(names, "types")?,
        types_at: array(names, "types_at")?,
        answers: array(names, "answers")?,
        otherwise: array(names, "otherwise")?,
        below: array(names, "below")?,
        depth: get(names, "depth")?,
        rows: (0..count).map(row).collect(),
        bodies: get(names, "bodies")?,
    })
}

/// `geodns.core.table.Sheet`.
fn sheet(of: &Bound<'_, PyAny>) -> PyResult<Sheet> {
    let (plan, sticky) = (get(of, "plan")?, get(of, "sticky")?);
    let mut made = Sheet::new(plan, sticky, get(of, "empty")?, get(of, "empty_ttl")?)?;
    for pair in of.getattr("sets")?.call_method0("items")?.try_iter()? {
        let (number, set): (usize, Bound<'_, PyAny>) = pair?.extract()?;
        made.fill(number, answer_set(&set)?);
    }
    Ok(made)
}

/// `geodns.core.table.AnswerSet`.
fn answer_set(of: &Bound<'_, PyAny>) -> PyResult<AnswerSet> {
    let pick = match get::<u8>(of, "pick")? {
        0 => Pick::Fixed,
        1 => Pick::Weighted,
        2 => Pick::Turns,
        3 => Pick::Sticky,
        other => return Err(Unsound(format!("there is no pick {other}")).into()),
    };
    let set = AnswerSet {
        pick,
        count: get(of, "count")?,
        members: get(of, "members")?,
        rrs: get(of, "rrs")?,
        at: array(of, "at")?,
        weights: array(of, "weights")?,
        order: array(of, "order")?,
        ttl: get(of, "ttl")?,
        ttl_min: get(of, "ttl_min")?,
        ttl_at: get(of, "ttl_at")?,
        change_at: get(of, "change_at")?,
        slot: get(of, "slot")?,
        state: get(of, "state")?,
    };
    Ok(set.sound()?)
}

/// `geodns.core.terms.Terms`.
fn agreed(of: &Bound<'_, PyAny>, payload: u16, signed: bool) -> PyResult<Terms> {
    let some = |name| Ok::<_, PyErr>(Some(of.getattr(name)?).filter(|value| !value.is_none()));
    let cookies = match some("cookies")? {
        None => None,
        Some(cookies) => Some(Cookies {
            secrets: get(&cookies, "secrets")?,
            require: get(&cookies, "require")?,
        }),
    };
    let resolvers = match some("resolvers")? {
        None => None,
        Some(networks) => {
            let texts = networks
                .try_iter()?
                .map(|n| Ok(n?.str()?.to_string()))
                .collect::<PyResult<Vec<_>>>()?;
            let found = Networks::parse(texts.iter().map(String::as_str));
            Some(found.ok_or_else(|| PyValueError::new_err("not all are networks"))?)
        }
    };
    Ok(Terms {
        payload,
        identity: some("version")?.is_some() || some("server")?.is_some(),
        nsid: get(of, "nsid")?,
        cookies,
        resolvers,
        idle: get(of, "idle")?,
        transfers: get(of, "transfers")?,
        signed,
        states: get(of, "states")?,
    })
}
