//! A lane's turn, fast where it is plain: JSON in, Kafka batches out, and nothing that anybody would have to decide.
//!
//! What an event's words lead to, the reference in Python decides, the first times that they come. Its answer is a template
//! from then on, to be filled with the event's own values, of what is forwarded and of what is rejected; what was forwarded
//! before is counted. Everything else the reference does: what is not plainly an event of the contract.

mod digests;
mod event;
mod horizon;
mod json;
mod learnt;
mod lines;
mod outputs;
mod partitions;
mod shapes;
mod template;
mod turn;

use pyo3::exceptions::PyValueError;
use pyo3::panic::PanicException;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use digests::Algorithm;
use learnt::{Learnt, Lesson, Region};
use lines::{Printed, Terms};
use turn::{Counted, Input, Lane, Stop, Turns};

/// Of what Python and this say to each other; `gateway.adapters.native` has it too. Raise both whenever that changes.
const INTERFACE: u32 = 4;

/// Name and value of a record's header.
type OwnedHeader<'py> = (String, Bound<'py, PyBytes>);
/// Topic, key, value and headers of a record that the reference built.
type Built<'py> = (String, Option<Bound<'py, PyBytes>>, Bound<'py, PyBytes>, Vec<OwnedHeader<'py>>);
/// Numbers of the facets and the region, and of the province where that lies (None where the event is not valid); the input's
/// digest, the record, and what the words lead to.
type Answer<'py> = ((usize, usize, Option<u8>), String, Option<Built<'py>>, Option<Lesson>);
/// How many records were written, and the digests of them, of all input lines and of the last one.
type Account<'py> = (usize, Bound<'py, PyBytes>, Bound<'py, PyBytes>, Bound<'py, PyBytes>);
/// How many records are misplaced, the offset of the first, and where that one belongs.
type Misplaced = Option<(usize, i64, u32)>;
/// Batches by topic, the account, counts, by index the numbers of the rejections that were repeated, and what is misplaced.
type Done<'py> = (Vec<(String, Batch)>, Account<'py>, Vec<(Counted, usize)>, Vec<(usize, usize)>, Misplaced);
/// A province's number and its source, `topic/partition/`, the topics of what is forwarded and of what is rejected, the
/// epoch's header, and which partition of how many it is; of none where nobody asks what is misplaced.
type OfLane = (u8, String, Vec<u8>, String, String, Option<Vec<u8>>, u32, u32);

/// Number and source of each province, the number of the one that all lines come from, when they were received in
/// milliseconds, and what came of verifying signatures: `lines::Terms`.
type OfLines = (Vec<(u8, String)>, Option<u8>, Option<i64>, u8);

/// `gateway.relay.horizon.Horizon`.
#[pyclass]
struct Horizon {
    inner: horizon::Horizon,
    now: i64,
}

fn key_of(identity: &Bound<PyAny>) -> PyResult<horizon::Key> {
    let text = |name: &str| identity.getattr(name)?.extract::<String>();
    Ok(horizon::key_of(&text("source")?, &text("holder")?, &text("id")?))
}

#[pymethods]
impl Horizon {
    #[new]
    fn new(horizon_ms: i64, max_ids: usize) -> Self {
        Horizon { inner: horizon::Horizon::new(horizon_ms, max_ids), now: 0 }
    }

    fn __len__(&self) -> usize {
        self.inner.len()
    }

    fn at(mut slf: PyRefMut<'_, Self>, received_at: i64) -> PyRefMut<'_, Self> {
        slf.now = received_at;
        slf
    }

    fn get<'py>(&self, identity: &Bound<'py, PyAny>, default: Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyTuple>> {
        let found = self.inner.within(&key_of(identity)?, self.now);
        if found.is_empty() {
            return Ok(default);
        }
        let digests = found.iter().map(|each| format!("sha256:{}", turn::hex(horizon::digest_in(each))));
        PyTuple::new(identity.py(), digests.collect::<Vec<_>>())
    }

    fn remember(&mut self, identity: &Bound<PyAny>, content_digest: &str, received_at: i64) -> PyResult<()> {
        let digest = content_digest.strip_prefix("sha256:").and_then(turn::unhex).filter(|digest| digest.len() == 32);
        let digest = digest.ok_or_else(|| PyValueError::new_err("not a digest by SHA-256"))?;
        self.inner.remember(&key_of(identity)?, &digest, received_at);
        Ok(())
    }

    #[getter]
    fn pending<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.pending())
    }

    fn learn(&mut self, occurrences: &[u8]) -> PyResult<()> {
        let (whole, rest) = occurrences.as_chunks::<{ horizon::OCCURRENCE }>();
        if !rest.is_empty() {
            let (size, each) = (occurrences.len(), horizon::OCCURRENCE);
            return Err(PyValueError::new_err(format!("{size} bytes are not a whole number of occurrences of {each}")));
        }
        whole.iter().for_each(|occurrence| self.inner.learn(*occurrence));
        Ok(())
    }

    fn keep(&mut self) {
        self.inner.keep();
    }

    fn forget(&mut self) {
        self.inner.forget();
    }

    #[getter]
    fn truncated(&self) -> bool {
        self.inner.truncated
    }
}

/// A batch of records, to be sent when its producer is known.
#[pyclass]
struct Batch(outputs::Batch);

#[pymethods]
impl Batch {
    #[getter]
    fn records(&self) -> usize {
        self.0.records
    }

    #[getter]
    fn size(&self) -> usize {
        self.0.body.len()
    }

    /// The whole batch, as what `producer` writes at `now` (milliseconds).
    fn seal<'py>(&mut self, py: Python<'py>, now: i64, producer: i64, epoch: i16, sequence: i32) -> Bound<'py, PyBytes> {
        self.0.seal(now, producer, epoch, sequence);
        PyBytes::new(py, &self.0.body)
    }
}

/// What was learnt so far, and the turns that can be taken by it.
#[pyclass]
struct Kernel {
    turns: Turns,
    longest_key: usize,
}

#[pymethods]
impl Kernel {
    /// `content_type` is the header of every output, `origin` and `epoch` name those that say where its input is; times in
    /// microseconds, the size of a batch and of the longest key that has a place in bytes.
    #[new]
    #[allow(clippy::too_many_arguments)]
    fn new(
        content_type: (String, Vec<u8>),
        origin: String,
        epoch: String,
        future_after: i64,
        stale_after: i64,
        max_batch: usize,
        longest_key: usize,
    ) -> Self {
        let content_type = (content_type.0.into_bytes(), content_type.1);
        let (learnt, origin, epoch) = (Learnt::default(), origin.into_bytes(), epoch.into_bytes());
        Kernel { turns: Turns { learnt, content_type, origin, epoch, future_after, stale_after, max_batch }, longest_key }
    }

    /// Forget what was learnt: the list is another one, whose editions begin on these days (since 1970-01-01).
    fn clear(&mut self, editions: Vec<i64>) {
        self.turns.learnt.clear(editions);
    }

    fn __len__(&self) -> usize {
        self.turns.learnt.len()
    }

    /// Take a turn. Of each record `signatures` has a number, and `traces` the trace context's headers, or None where the
    /// reference has to look at them. `ask(index, unmet)` has the reference do a record and, unless `unmet` is None, teach
    /// what follows where these conditions are not fulfilled.
    #[allow(clippy::too_many_arguments)]
    fn turn<'py>(
        &mut self,
        py: Python<'py>,
        lane: OfLane,
        records: Vec<Bound<'py, PyAny>>,
        signatures: &[u8],
        traces: Vec<Option<Vec<OwnedHeader<'py>>>>,
        horizon: &Bound<'py, Horizon>,
        algorithm: &str,
        ask: &Bound<'py, PyAny>,
    ) -> PyResult<Done<'py>> {
        let algorithm = Algorithm::named(algorithm).ok_or_else(|| PyValueError::new_err("no such digest"))?;
        let held = records.iter().map(held).collect::<PyResult<Vec<_>>>()?;
        let inputs =
            held.iter().zip(signatures).zip(&traces).map(|(((key, value, timestamp, offset), signature), trace)| Input {
                key: key.as_ref().map(|key| key.as_bytes()),
                value: value.as_ref().filter(|_| trace.is_some()).map(|value| value.as_bytes()),
                timestamp: *timestamp,
                offset: *offset,
                trace: trace.iter().flatten().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect(),
                signature: *signature,
            });
        let inputs: Vec<Input> = inputs.collect();
        if inputs.len() != records.len() {
            return Err(PyValueError::new_err("of each record a signature's status and its trace context are wanted"));
        }
        let (province, source, origin, verification, rejection, epoch, partition, partitions) = &lane;
        let lane = Lane { province: *province, source, origin, verification, rejection, epoch: epoch.as_deref() };
        let mut state = self.turns.start();
        let mut next = 0;
        loop {
            let (turns, mut guard) = (&mut self.turns, horizon.borrow_mut());
            let inner = &mut guard.inner;
            let stop = py.detach(|| turns.run(&lane, &inputs, next, inner, &mut state));
            drop(guard);
            let Some(Stop { index, wanted }) = stop else { break };
            next = index + 1;
            let ((facets, number, place), input_digest, built, lesson): Answer = ask.call1((index, wanted))?.extract()?;
            state.count((facets, number, None), index);
            state.note(&inputs[index], &[input_digest.as_bytes()]);
            if let Some(place) = place {
                let expected = built.as_ref().map(|(_, _, value, _)| value.as_bytes()).unwrap_or_default();
                self.turns.learn(&lane, Region { place, number }, wanted.zip(lesson), &inputs[index], expected);
            }
            if let Some((topic, key, value, headers)) = &built {
                let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
                state.outputs.push(topic, key.as_ref().map(|key| key.as_bytes()), value.as_bytes(), &headers);
            }
        }
        let longest = self.longest_key;
        let (outputs, lines, last, misplaced) = py.detach(|| {
            let last = algorithm.digest(&state.lines[state.last_line..]);
            let keys = inputs.iter().map(|input| (input.key, input.offset));
            let misplaced = (*partitions > 0).then(|| partitions::find_misplaced(keys, *partition, *partitions, longest));
            (state.outputs.digest(algorithm), algorithm.digest(&state.lines), last, misplaced.flatten())
        });
        let (count, counts) = (state.outputs.len(), state.counts());
        let topics = std::mem::take(&mut state.outputs.topics).into_iter();
        let batches = topics.flat_map(|topic| topic.batches.into_iter().map(move |batch| (topic.name.clone(), Batch(batch))));
        let account = (count, PyBytes::new(py, &outputs), PyBytes::new(py, &lines), PyBytes::new(py, &last));
        Ok((batches.collect(), account, counts, state.rejected, misplaced))
    }

    /// Print what becomes of `lines`. `ask(index, unmet)` has the reference
    /// do a line and, unless `unmet` is None, teach. Returns the text, and how many were forwarded and rejected without asking.
    fn print<'py>(
        &mut self,
        py: Python<'py>,
        terms: OfLines,
        lines: Vec<Bound<'py, PyBytes>>,
        horizon: &Bound<'py, Horizon>,
        ask: &Bound<'py, PyAny>,
    ) -> PyResult<(Bound<'py, PyBytes>, usize, usize)> {
        let (provinces, province, received, signature) = terms;
        let terms = Terms { provinces: &provinces, province, received, signature };
        let raw: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        let (mut printed, mut next) = (Printed::default(), 0);
        self.turns.learnt.begin_turn();
        loop {
            let (turns, mut guard) = (&mut self.turns, horizon.borrow_mut());
            let inner = &mut guard.inner;
            let stop = py.detach(|| turns.print(&terms, &raw, next, inner, &mut printed));
            drop(guard);
            let Some(Stop { index, wanted }) = stop else { break };
            next = index + 1;
            let (line, place, lesson): (Bound<PyBytes>, Option<u8>, Option<Lesson>) = ask.call1((index, wanted))?.extract()?;
            if let (Some(place), Some(lesson)) = (place, wanted.zip(lesson)) {
                self.turns.learn_line(&terms, place, lesson, raw[index], line.as_bytes());
            }
            printed.text.extend_from_slice(line.as_bytes());
        }
        Ok((PyBytes::new(py, &printed.text), printed.forwarded, printed.rejected))
    }
}

type Held<'py> = (Option<Bound<'py, PyBytes>>, Option<Bound<'py, PyBytes>>, i64, i64);

fn held<'py>(record: &Bound<'py, PyAny>) -> PyResult<Held<'py>> {
    let py = record.py();
    Ok((
        record.getattr(pyo3::intern!(py, "key"))?.extract()?,
        record.getattr(pyo3::intern!(py, "value"))?.extract()?,
        record.getattr(pyo3::intern!(py, "timestamp"))?.extract()?,
        record.getattr(pyo3::intern!(py, "offset"))?.extract()?,
    ))
}

/// Digests of texts, by the name of their algorithm: those of all, in order.
#[pyfunction]
fn digest_all<'py>(py: Python<'py>, algorithm: &str, texts: Vec<Bound<'py, PyBytes>>) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let algorithm = Algorithm::named(algorithm).ok_or_else(|| PyValueError::new_err("no such digest"))?;
    let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
    Ok(algorithm.digest_all(&texts).iter().map(|digest| PyBytes::new(py, digest)).collect())
}

/// Whether the kernel is sure that a text holds no personal number, as `gateway.core.privacy` sees it: for the tests.
#[pyfunction]
fn may_hold_number(text: &str) -> bool {
    shapes::may_hold_number(text)
}

/// The partition of a key among `count`: for the tests.
#[pyfunction]
fn partition_of(key: &[u8], count: u32) -> u32 {
    partitions::partition_of(key, count)
}

#[pymodule]
fn gateway_kernel(module: &Bound<PyModule>) -> PyResult<()> {
    // A panic is an exception to Python; what Rust would print of it could quote an event.
    std::panic::set_hook(Box::new(|_| {}));
    module.add("PanicException", module.py().get_type::<PanicException>())?;
    module.add("INTERFACE", INTERFACE)?;
    module.add_class::<Horizon>()?;
    module.add_class::<Batch>()?;
    module.add_class::<Kernel>()?;
    module.add_function(wrap_pyfunction!(digest_all, module)?)?;
    module.add_function(wrap_pyfunction!(may_hold_number, module)?)?;
    module.add_function(wrap_pyfunction!(partition_of, module)?)
}
