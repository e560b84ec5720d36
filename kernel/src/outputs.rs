//! What a turn writes: the records of Kafka batches (format v2) by topic, and the text of each that the ledger digests.

use std::io::Write;

use crate::digests::{Algorithm, LENGTH};

/// Of a batch's header, which is written when its producer is known.
const HEADER: usize = 61;
const CHECKSUM: usize = 17;

pub type Header<'a> = (&'a [u8], &'a [u8]);

pub struct Batch {
    pub body: Vec<u8>,
    pub records: usize,
}

/// The batches of one topic, the last one open.
pub struct Topic {
    pub name: String,
    pub batches: Vec<Batch>,
}

pub struct Outputs {
    pub topics: Vec<Topic>,
    max_batch: usize,
    /// What is digested of each output, one behind the other, and where each ends.
    texts: Vec<u8>,
    ends: Vec<usize>,
}

impl Outputs {
    pub fn new(max_batch: usize) -> Self {
        Outputs { topics: Vec::new(), max_batch, texts: Vec::new(), ends: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn push(&mut self, topic: &str, key: Option<&[u8]>, value: &[u8], headers: &[Header]) {
        self.note(topic, key, value, headers);
        let place = self.topics.iter().position(|each| each.name == topic).unwrap_or_else(|| {
            self.topics.push(Topic { name: topic.to_owned(), batches: vec![Batch::new()] });
            self.topics.len() - 1
        });
        let batches = &mut self.topics[place].batches;
        let last = batches.last_mut().expect("a topic has one");
        let length = length_of(last.records, key, value, headers);
        if last.records > 0 && last.body.len() + size_of_varint(length as i64) + length > self.max_batch {
            batches.push(Batch::new());
        }
        batches.last_mut().expect("a topic has one").push(key, value, headers);
    }

    /// The digest over the digests of all outputs, as `gateway.contract.outputs.outputs_digest` has it.
    pub fn digest(&self, algorithm: Algorithm) -> [u8; LENGTH] {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let texts: Vec<&[u8]> = starts.zip(&self.ends).map(|(start, end)| &self.texts[start..*end]).collect();
        algorithm.digest(algorithm.digest_all(&texts).as_flattened())
    }

    /// Note what `gateway.contract.outputs.output_parts` says is digested.
    fn note(&mut self, topic: &str, key: Option<&[u8]>, value: &[u8], headers: &[Header]) {
        let out = &mut self.texts;
        let mut together = 0;
        for (name, value) in headers {
            together += decimals(name.len()) + decimals(value.len()) + 2 + name.len() + value.len();
        }
        let key_length = key.map_or(-1, |key| key.len() as i64);
        writeln!(out, "{} {key_length} {together} {}", topic.len(), value.len()).expect("memory takes it");
        out.extend_from_slice(topic.as_bytes());
        out.extend_from_slice(key.unwrap_or_default());
        for (name, value) in headers {
            write!(out, "{} {} ", name.len(), value.len()).expect("memory takes it");
            out.extend_from_slice(name);
            out.extend_from_slice(value);
        }
        out.extend_from_slice(value);
        self.ends.push(out.len());
    }
}

impl Batch {
    fn new() -> Self {
        Batch { body: vec![0; HEADER], records: 0 }
    }

    /// Complete the header: who writes it and when, and the checksum over all that follows.
    pub fn seal(&mut self, now: i64, producer: i64, epoch: i16, sequence: i32) {
        let (length, records) = (self.body.len() as i32 - 12, self.records as i32);
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(&0_i64.to_be_bytes()); // offset: the broker's
        header.extend_from_slice(&length.to_be_bytes());
        header.extend_from_slice(&(-1_i32).to_be_bytes()); // leader epoch: the broker's
        header.push(2); // format
        header.extend_from_slice(&0_u32.to_be_bytes()); // checksum: below
        header.extend_from_slice(&0x10_i16.to_be_bytes()); // transactional, not compressed
        header.extend_from_slice(&(records - 1).to_be_bytes());
        header.extend_from_slice(&now.to_be_bytes());
        header.extend_from_slice(&now.to_be_bytes());
        header.extend_from_slice(&producer.to_be_bytes());
        header.extend_from_slice(&epoch.to_be_bytes());
        header.extend_from_slice(&sequence.to_be_bytes());
        header.extend_from_slice(&records.to_be_bytes());
        self.body[..HEADER].copy_from_slice(&header);
        let checksum = crc32c::crc32c(&self.body[CHECKSUM + 4..]);
        self.body[CHECKSUM..CHECKSUM + 4].copy_from_slice(&checksum.to_be_bytes());
    }

    fn push(&mut self, key: Option<&[u8]>, value: &[u8], headers: &[Header]) {
        let length = length_of(self.records, key, value, headers);
        let out = &mut self.body;
        put_varint(length as i64, out);
        out.extend_from_slice(&[0, 0]); // attributes; all records have the batch's timestamp
        put_varint(self.records as i64, out);
        put_bytes(key, out);
        put_bytes(Some(value), out);
        put_varint(headers.len() as i64, out);
        for (name, value) in headers {
            put_bytes(Some(name), out);
            put_bytes(Some(value), out);
        }
        self.records += 1;
    }
}

fn length_of(offset: usize, key: Option<&[u8]>, value: &[u8], headers: &[Header]) -> usize {
    let sized = |bytes: &[u8]| size_of_varint(bytes.len() as i64) + bytes.len();
    2 + size_of_varint(offset as i64)
        + key.map_or(1, sized)
        + sized(value)
        + size_of_varint(headers.len() as i64)
        + headers.iter().map(|(name, value)| sized(name) + sized(value)).sum::<usize>()
}

fn decimals(number: usize) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

fn size_of_varint(number: i64) -> usize {
    let zigzag = (number << 1 ^ number >> 63) as u64;
    (64 - (zigzag | 1).leading_zeros() as usize).div_ceil(7)
}

fn put_varint(number: i64, out: &mut Vec<u8>) {
    let mut zigzag = (number << 1 ^ number >> 63) as u64;
    while zigzag > 127 {
        out.push(zigzag as u8 | 128);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

fn put_bytes(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    match bytes {
        None => out.push(1),
        Some(bytes) => {
            put_varint(bytes.len() as i64, out);
            out.extend_from_slice(bytes);
        }
    }
}
