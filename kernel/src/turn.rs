//! A turn: record after record as far as the reference need not be asked.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::event::{Event, Key};
use crate::horizon::{self, Horizon, digest_in, key_of};
use crate::learnt::{
    EXPIRED, FUTURE, Found, ID_KNOWN, IDENTIFIER, Learnt, Lesson, NOT_YET_VALID, OTHER_SOURCE, Origin, Region, STALE, Unmet,
    hex64,
};
use crate::outputs::{Header, Outputs};
use crate::shapes::{china_day, format_milliseconds};

/// Milliseconds; beyond the year 8307 nobody's clock is right.
pub const LATEST: i64 = 200_000_000_000_000;

pub struct Input<'a> {
    pub key: Option<&'a [u8]>,
    /// None where the reference has to look at it anyway.
    pub value: Option<&'a [u8]>,
    pub timestamp: i64,
    pub offset: i64,
    /// The trace context that goes out as headers, where the input has it in headers itself.
    pub trace: Vec<Header<'a>>,
    /// What came of verifying its signature, as a number.
    pub signature: u8,
}

pub struct Lane<'a> {
    pub province: u8,
    /// Of the province's own events.
    pub source: &'a str,
    /// `topic/partition/`, before the offset.
    pub origin: &'a [u8],
    /// Where what is forwarded goes, and what is rejected.
    pub verification: &'a str,
    pub rejection: &'a str,
    /// The number of the input's log, as a header; None for the first.
    pub epoch: Option<&'a [u8]>,
}

/// Why a turn stops: a record that the reference has to decide; and its unmet conditions where it is to teach what follows.
pub struct Stop {
    pub index: usize,
    pub wanted: Option<Unmet>,
}

/// The facets' number of what was forwarded before.
const REPEATED: usize = 0;

/// Facets, region, and the rejection that the facets are of; None where they say it all.
pub type Counted = (usize, usize, Option<usize>);

/// What has become of a turn so far.
pub struct State {
    pub outputs: Outputs,
    /// One line a record, as `gateway.contract.ledger_entry.input_line` has it; and where the last one begins.
    pub lines: Vec<u8>,
    pub last_line: usize,
    /// What was rejected: index, and the number of the rejection.
    pub rejected: Vec<(usize, usize)>,
    /// By what is counted, the first record and how many there are.
    counted: HashMap<Counted, (usize, usize)>,
    received: (i64, String),
}

impl State {
    pub fn new(max_batch: usize) -> Self {
        State {
            outputs: Outputs::new(max_batch),
            lines: Vec::new(),
            last_line: 0,
            rejected: Vec::new(),
            counted: HashMap::new(),
            received: (-1, String::new()),
        }
    }

    pub fn count(&mut self, counted: Counted, index: usize) {
        self.counted.entry(counted).or_insert((index, 0)).1 += 1;
    }

    /// What is counted and how many there are, in the order of their first records.
    pub fn counts(&self) -> Vec<(Counted, usize)> {
        let mut counts: Vec<_> = self.counted.iter().collect();
        counts.sort_by_key(|(_, (first, _))| *first);
        counts.into_iter().map(|(counted, (_, count))| (*counted, *count)).collect()
    }

    /// When the input was received, in words.
    fn received(&mut self, timestamp: i64) -> &str {
        if self.received.0 != timestamp {
            self.received = (timestamp, format_milliseconds(timestamp));
        }
        &self.received.1
    }

    /// Note the record in `inputs`; `digest` as it is written, with its algorithm.
    pub fn note(&mut self, input: &Input, digest: &[&[u8]]) {
        use std::io::Write;
        self.last_line = self.lines.len();
        let out = &mut self.lines;
        write!(out, "{} {} ", input.offset, input.timestamp).expect("memory takes it");
        digest.iter().for_each(|part| out.extend_from_slice(part));
        write!(out, " {} ", input.key.map_or(-1, |key| key.len() as i64)).expect("memory takes it");
        out.extend_from_slice(input.key.unwrap_or_default());
        out.push(b'\n');
    }
}

/// Takes turns by what was learnt.
pub struct Turns {
    pub learnt: Learnt,
    pub content_type: (Vec<u8>, Vec<u8>),
    pub origin: Vec<u8>,
    pub epoch: Vec<u8>,
    pub future_after: i64,
    pub stale_after: i64,
    pub max_batch: usize,
}

impl Turns {
    pub fn start(&mut self) -> State {
        self.learnt.begin_turn();
        State::new(self.max_batch)
    }

    /// Work off `inputs` from `next` on until the reference has to be asked.
    pub fn run(&mut self, lane: &Lane, inputs: &[Input], next: usize, horizon: &mut Horizon, state: &mut State) -> Option<Stop> {
        let (mut content, mut value, mut origin) = (Vec::new(), Vec::new(), Vec::new());
        for (index, input) in inputs.iter().enumerate().skip(next) {
            let Some((raw, event)) = read(input) else { return Some(Stop { index, wanted: None }) };
            content.clear();
            event.content(&mut content);
            let content_digest = Sha256::digest(&content);
            let key = key_of_event(&event);
            let remembered = horizon.within(&key, input.timestamp);
            let is_repeated = remembered.iter().any(|each| content_digest.starts_with(digest_in(each)));
            let unmet = self.unmet(&event, lane.source, input.timestamp) | if remembered.is_empty() { 0 } else { ID_KNOWN };
            let (topic, filling, rejection) = match self.learnt.find(lane.origin_of(input), &event, unmet, is_repeated) {
                Found::Ask(is_wanted) => return Some(Stop { index, wanted: is_wanted.then_some(unmet) }),
                Found::Repeated(region) => {
                    state.count((REPEATED, region, None), index);
                    state.note(input, &[b"sha256:", &hex64(&Sha256::digest(raw))]);
                    continue;
                }
                Found::Forward(filling) => {
                    horizon.remember(&key, &content_digest, input.timestamp);
                    (lane.verification, filling, None)
                }
                Found::Reject(filling, number) => {
                    state.rejected.push((index, number));
                    (lane.rejection, filling, Some(number))
                }
            };
            state.count((filling.facets, filling.region, rejection), index);
            let input_digest = hex64(&Sha256::digest(raw));
            state.note(input, &[b"sha256:", &input_digest]);
            value.clear();
            filling.fill(&event, state.received(input.timestamp), &input_digest, &content_digest, &mut value);
            origin.clear();
            origin.extend_from_slice(lane.origin);
            origin.extend_from_slice(input.offset.to_string().as_bytes());
            self.push(topic, lane.epoch, input, &event, &value, &origin, &mut state.outputs);
        }
        None
    }

    /// Which conditions of its own the event does not fulfil, apart from its id; `source` is that of the province it came
    /// from, `received` in milliseconds.
    pub fn unmet(&self, event: &Event, source: &str, received: i64) -> Unmet {
        let (received, day) = (received * 1000, china_day(event.time));
        [
            (FUTURE, event.time > received + self.future_after),
            (STALE, event.time < received - self.stale_after),
            (NOT_YET_VALID, event.valid_from.is_some_and(|first| day < first)),
            (EXPIRED, event.valid_until.is_some_and(|last| day > last)),
            (IDENTIFIER, event.has_wrong_identifier),
            (OTHER_SOURCE, event.source_text() != source),
        ]
        .iter()
        .fold(0, |sum, (bit, is_unmet)| if *is_unmet { sum | bit } else { sum })
    }

    #[allow(clippy::too_many_arguments)]
    fn push(
        &self,
        topic: &str,
        epoch: Option<&[u8]>,
        input: &Input,
        event: &Event,
        value: &[u8],
        origin: &[u8],
        outputs: &mut Outputs,
    ) {
        let mut headers: Vec<Header> = Vec::with_capacity(5);
        headers.push((&self.content_type.0, &self.content_type.1));
        headers.push((&self.origin, origin));
        headers.extend(epoch.map(|epoch| (self.epoch.as_slice(), epoch)));
        if input.trace.is_empty() {
            let of_event = [("traceparent", event.trace_parent()), ("tracestate", event.trace_state())];
            headers.extend(of_event.iter().filter_map(|(name, value)| Some((name.as_bytes(), value.as_ref()?.as_bytes()))));
        } else {
            headers.extend(&input.trace);
        }
        outputs.push(topic, input.key, value, &headers);
    }

    /// Have it learnt what the region of `input` is and, where there is a lesson, what the words lead to: it became `expected`.
    pub fn learn(&mut self, lane: &Lane, region: Region, lesson: Option<(Unmet, Lesson)>, input: &Input, expected: &[u8]) {
        let Some((raw, event)) = read(input) else { return };
        self.learnt.learn_region(&event, region);
        let Some((unmet, lesson)) = lesson else { return };
        self.learnt.learn(lane.origin_of(input), &event, region, unmet, lesson, |filling| {
            let (mut content, mut value) = (Vec::new(), Vec::new());
            event.content(&mut content);
            let received = format_milliseconds(input.timestamp);
            filling.fill(&event, &received, &hex64(&Sha256::digest(raw)), &Sha256::digest(&content), &mut value);
            value == expected
        });
    }
}

impl Lane<'_> {
    fn origin_of(&self, input: &Input) -> Origin {
        Origin { province: self.province, signature: input.signature }
    }
}

/// By what the horizon knows the event again.
pub fn key_of_event(event: &Event) -> horizon::Key {
    key_of(event.source_text(), event.reference().text().unwrap_or_default(), event.id().text().unwrap_or_default())
}

fn read<'a>(input: &Input<'a>) -> Option<(&'a [u8], Event<'a>)> {
    let raw = input.value.filter(|_| (0..LATEST).contains(&input.timestamp))?;
    Some((raw, Event::read(raw, Key::Is(input.key))?))
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = |at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..text.len()).step_by(2).map(digits).collect()
}
