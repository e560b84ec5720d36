//! One event out of its bytes, if it is plainly one. None is no verdict: the reference is asked.

use crate::json::{Reader, Value};
use crate::shapes::{self, Day, Instant};

// Names in alphabetical order, that of canonical JSON.
const CERTIFICATE: [&str; 7] =
    ["identifier", "issuer_code", "issuer_name", "type_code", "type_name", "valid_from", "valid_until"];
const DISPLAY: [&str; 7] = ["channel", "matter_code", "matter_name", "region_code", "scenario", "verifier_code", "verifier_name"];
const HOLDER: [&str; 3] = ["kind", "name_masked", "ref"];
const CONTEXT: [&str; 6] = ["datacontenttype", "id", "source", "specversion", "time", "type"];
const TRACE_PARENT: &str = "traceparent";
const TRACE_STATE: &str = "tracestate";
const NO_CONTENT: [&str; 4] = ["signature", "signaturekey", TRACE_PARENT, TRACE_STATE];
const OF_THE_INPUT: [&str; 3] = ["dataschema", "signature", "signaturekey"];
const NOT_EMPTY: [&str; 2] = ["dataschema", "subject"];
const STRINGS: [&str; 4] = ["dataschema", "subject", TRACE_PARENT, TRACE_STATE];
const MEDIA_TYPES: [&str; 5] = [
    "application/json",
    "application/json; charset=utf-8",
    "application/json; charset=UTF-8",
    "application/json;charset=utf-8",
    "application/json;charset=UTF-8",
];

/// Key and headers count too: with them a record of this size is still below what the contract reads.
const MAX_BYTES: usize = 200_000;
const MAX_ID: usize = 256;
const MAX_NAME: usize = 200;
const MAX_TEXT: usize = 500;
/// Of words that stand alone, how many groups there are.
pub const ALONE: usize = 5;

/// An event whose own fields (id, times, holder's reference and name, identifier, matter, verifier's code, extension
/// attributes) keep the contract. Whether its words do is not looked at here: see `words` and `words_alone`.
#[derive(Default)]
pub struct Event<'a> {
    context: [Value<'a>; 6],
    certificate: [Value<'a>; 7],
    display: [Value<'a>; 7],
    holder: [Value<'a>; 3],
    /// Extension attributes, by name.
    extensions: Vec<(String, Value<'a>)>,
    pub time: Instant,
    pub valid_from: Option<Day>,
    pub valid_until: Option<Day>,
    /// Whether its identifier has the right shape and a wrong check character.
    pub has_wrong_identifier: bool,
}

/// The key of an event's record.
pub enum Key<'k> {
    Is(Option<&'k [u8]>),
    /// There is none to compare: the event is no record.
    Unasked,
}

impl<'a> Event<'a> {
    /// The event in `raw`, whose record has `key`.
    pub fn read(raw: &'a [u8], key: Key) -> Option<Self> {
        if raw.len() > MAX_BYTES {
            return None;
        }
        let mut event = Event::default();
        let mut reader = Reader::new(raw)?;
        let mut has_data = false;
        reader.object(|reader, name| {
            if name == "data" {
                return (!std::mem::replace(&mut has_data, true)).then(|| event.read_data(reader))?;
            }
            let value = reader.value()?;
            match CONTEXT.iter().position(|known| *known == name) {
                Some(position) => once(&mut event.context[position], value),
                None if event.extensions.iter().any(|(other, _)| other == name) => None,
                None => {
                    event.extensions.push((name.to_owned(), value));
                    Some(())
                }
            }
        })?;
        reader.end()?;
        event.extensions.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        (has_data && event.keeps_the_contract(key)).then_some(())?;
        event.time = shapes::instant(event.time_text().text()?)?;
        event.valid_from = day_or_none(event.valid_from_text())?;
        event.valid_until = day_or_none(event.valid_until_text())?;
        event.has_wrong_identifier = !event.identifier().text().map_or(Some(true), shapes::identifier)?;
        Some(event)
    }

    fn read_data(&mut self, reader: &mut Reader<'a>) -> Option<()> {
        let mut found = [false; 3];
        reader.object(|reader, name| {
            let position = ["certificate", "display", "holder"].iter().position(|known| *known == name)?;
            if std::mem::replace(&mut found[position], true) {
                return None;
            }
            match position {
                0 => members(reader, &CERTIFICATE, &mut self.certificate),
                1 => members(reader, &DISPLAY, &mut self.display),
                _ => members(reader, &HOLDER, &mut self.holder),
            }
        })?;
        (found == [true; 3]).then_some(())
    }

    /// Look at what is the event's own.
    fn keeps_the_contract(&self, key: Key) -> bool {
        let (Some(id), Some(reference)) = (self.id().text(), self.reference().text()) else { return false };
        let traced = self.trace_parent().is_some();
        (1..=MAX_ID).contains(&id.len())
            && id.bytes().all(|byte| matches!(byte, 0x20..0x7f))
            && !shapes::may_hold_number(id)
            && shapes::is_reference(reference)
            && match key {
                Key::Is(key) => key == Some(reference.as_bytes()),
                Key::Unasked => true,
            }
            && is_none_or(&self.context[0], |media_type| MEDIA_TYPES.contains(&media_type))
            && is_none_or(self.name(), |name| {
                fits(name, 1..=MAX_NAME) && shapes::is_masked(name) && !shapes::may_hold_number(name)
            })
            && [self.matter_code(), self.matter_name(), self.verifier_code()].iter().all(|value| is_none_or(value, is_plain_text))
            && self.extensions.iter().all(|(name, value)| is_extension(name, value, traced))
    }

    pub fn id(&self) -> &Value<'a> {
        &self.context[1]
    }

    pub fn source(&self) -> &Value<'a> {
        &self.context[2]
    }

    pub fn source_text(&self) -> &str {
        self.source().text().unwrap_or_default()
    }

    pub fn time_text(&self) -> &Value<'a> {
        &self.context[4]
    }

    pub fn reference(&self) -> &Value<'a> {
        &self.holder[2]
    }

    pub fn name(&self) -> &Value<'a> {
        &self.holder[1]
    }

    pub fn identifier(&self) -> &Value<'a> {
        &self.certificate[0]
    }

    pub fn valid_from_text(&self) -> &Value<'a> {
        &self.certificate[5]
    }

    pub fn valid_until_text(&self) -> &Value<'a> {
        &self.certificate[6]
    }

    pub fn matter_code(&self) -> &Value<'a> {
        &self.display[1]
    }

    pub fn matter_name(&self) -> &Value<'a> {
        &self.display[2]
    }

    pub fn region(&self) -> &Value<'a> {
        &self.display[3]
    }

    pub fn verifier_code(&self) -> &Value<'a> {
        &self.display[5]
    }

    pub fn verifier_name(&self) -> &Value<'a> {
        &self.display[6]
    }

    pub fn holder_kind(&self) -> &Value<'a> {
        &self.holder[0]
    }

    pub fn issuer_code(&self) -> &Value<'a> {
        &self.certificate[1]
    }

    pub fn type_code(&self) -> &Value<'a> {
        &self.certificate[3]
    }

    pub fn trace_parent(&self) -> Option<&str> {
        self.extension(TRACE_PARENT).text()
    }

    pub fn trace_state(&self) -> Option<&str> {
        self.extension(TRACE_STATE).text()
    }

    fn extension(&self, name: &str) -> &Value<'a> {
        self.extensions.iter().find(|(other, _)| other == name).map_or(&Value::Absent, |(_, value)| value)
    }

    /// Append the words that have a say together, so that equal ones give equal bytes; absent and null are the same here.
    /// Region and verifying unit, of which not all has a say, or not always, are not among them.
    pub fn words(&self, out: &mut Vec<u8>) {
        let [_, _, issuer_name, _, type_name, _, _] = &self.certificate;
        let [channel, _, _, _, scenario, _, _] = &self.display;
        for value in [issuer_name, type_name, channel, scenario] {
            append_word(value, out);
        }
    }

    /// Put the words together that only have to keep the contract, those of one of `ALONE` groups; false where they surely
    /// do, as nobody can remember every unit's name.
    pub fn words_alone(&self, group: usize, out: &mut Vec<u8>) -> bool {
        let [_, _, source, specversion, _, kind_of_event] = &self.context;
        out.clear();
        out.push(group as u8);
        match group {
            0 => [source, specversion, kind_of_event].iter().for_each(|value| append_word(value, out)),
            1 => append_word(self.holder_kind(), out),
            2 => append_word(self.issuer_code(), out),
            3 => append_word(self.type_code(), out),
            _ if is_none_or(self.verifier_name(), is_plain_text) => return false,
            _ => append_word(self.verifier_name(), out),
        }
        true
    }

    /// How long all words are together, in bytes.
    pub fn length_of_words(&self) -> usize {
        let [_, _, source, specversion, _, kind_of_event] = &self.context;
        let [_, issuer_code, issuer_name, type_code, type_name, _, _] = &self.certificate;
        let [channel, _, _, region, scenario, _, unit] = &self.display;
        let of_the_event = [source, specversion, kind_of_event, self.holder_kind()];
        let of_its_data = [issuer_code, issuer_name, type_code, type_name, channel, region, scenario, unit];
        of_the_event.iter().chain(&of_its_data).map(|value| value.text().map_or(0, str::len)).sum()
    }

    /// Append what the event's content digest is over: canonical JSON without nulls, media type, signature and
    /// trace context, its time as an instant, its extension attributes as text.
    pub fn content(&self, out: &mut Vec<u8>) {
        let mut extensions = self.extensions.iter().peekable();
        let mut first = true;
        let mut before = |limit: Option<&str>, out: &mut Vec<u8>, first: &mut bool| {
            while let Some((name, value)) = extensions.next_if(|(name, _)| limit.is_none_or(|limit| name.as_str() < limit)) {
                if !NO_CONTENT.contains(&name.as_str()) {
                    as_text(name, value, first, out);
                }
            }
        };
        out.push(b'{');
        before(Some("data"), out, &mut first);
        separate(&mut first, out);
        out.extend_from_slice(b"\"data\":{\"certificate\":");
        object(&CERTIFICATE, &self.certificate, out);
        out.extend_from_slice(b",\"display\":");
        object(&DISPLAY, &self.display, out);
        out.extend_from_slice(b",\"holder\":");
        object(&HOLDER, &self.holder, out);
        out.push(b'}');
        for (name, value) in CONTEXT.iter().zip(&self.context).skip(1) {
            before(Some(name), out, &mut first);
            if *name == "time" {
                separate(&mut first, out);
                out.extend_from_slice(format!("\"time\":{}", self.time).as_bytes());
            } else {
                member(name, value, &mut first, out);
            }
        }
        before(None, out, &mut first);
        out.push(b'}');
    }

    /// Append the extension attributes that go out again, each with a comma before it.
    pub fn carried(&self, out: &mut Vec<u8>) {
        for (name, value) in &self.extensions {
            if !OF_THE_INPUT.contains(&name.as_str()) {
                member(name, value, &mut false, out);
            }
        }
    }
}

pub fn append_word(value: &Value, out: &mut Vec<u8>) {
    match value.text() {
        None => out.push(0),
        Some(text) => {
            out.push(1);
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    }
}

fn members<'a, const N: usize>(reader: &mut Reader<'a>, names: &[&str; N], values: &mut [Value<'a>; N]) -> Option<()> {
    reader.object(|reader, name| {
        let position = names.iter().position(|known| *known == name)?;
        once(&mut values[position], reader.value()?)
    })
}

/// A member that stands twice is nothing plain, nor is one that is neither text nor null.
fn once<'a>(place: &mut Value<'a>, value: Value<'a>) -> Option<()> {
    (place.is_absent() && matches!(value, Value::Null | Value::Text(_))).then(|| *place = value)
}

fn is_none_or(value: &Value, fits: impl Fn(&str) -> bool) -> bool {
    value.text().is_none_or(fits)
}

fn is_plain_text(text: &str) -> bool {
    fits(text, 0..=MAX_TEXT) && !shapes::may_hold_number(text)
}

fn fits(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    shapes::is_plain(text) && length.contains(&text.chars().count())
}

fn day_or_none(value: &Value) -> Option<Option<Day>> {
    value.text().map_or(Some(None), |text| shapes::day(text).map(Some))
}

fn is_extension(name: &str, value: &Value, traced: bool) -> bool {
    if name.is_empty()
        || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        || shapes::may_hold_number(name)
    {
        return false;
    }
    match value {
        Value::Text(text) if name == TRACE_PARENT => shapes::is_trace_parent(text),
        Value::Text(text) => {
            shapes::is_plain(text)
                && !(text.is_empty() && NOT_EMPTY.contains(&name))
                && (name != TRACE_STATE || (traced && (1..=512).contains(&text.len()) && text.is_ascii()))
                && !shapes::may_hold_number(text)
        }
        other => matches!(other, Value::Null) || !STRINGS.contains(&name),
    }
}

fn object(names: &[&str], values: &[Value], out: &mut Vec<u8>) {
    let mut first = true;
    out.push(b'{');
    for (name, value) in names.iter().zip(values) {
        member(name, value, &mut first, out);
    }
    out.push(b'}');
}

/// Append a member, unless it is absent or null.
fn member(name: &str, value: &Value, first: &mut bool, out: &mut Vec<u8>) {
    if value.is_none() {
        return;
    }
    separate(first, out);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    value.write(out);
}

/// Append a member as `member` does, but what is no text as the text that stands in a header of binary mode.
fn as_text(name: &str, value: &Value, first: &mut bool, out: &mut Vec<u8>) {
    if matches!(value, Value::Bool(_) | Value::Int(_)) {
        let mut text = Vec::new();
        value.write(&mut text);
        separate(first, out);
        out.extend_from_slice(format!("\"{name}\":\"{}\"", String::from_utf8_lossy(&text)).as_bytes());
    } else {
        member(name, value, first, out);
    }
}

fn separate(first: &mut bool, out: &mut Vec<u8>) {
    if !std::mem::replace(first, false) {
        out.push(b',');
    }
}
