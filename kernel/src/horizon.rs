//! The duplicates' horizon of one lane: what `gateway.relay.horizon` remembers, and forgets, byte for byte.

use blake2b_simd::Params;
use hashbrown::{HashMap, HashTable};

const RECEIVED: usize = 6;
const KEY: usize = 15;
const DIGEST: usize = 9;
pub const OCCURRENCE: usize = RECEIVED + KEY + DIGEST;

pub type Key = [u8; KEY];
/// When an id came, its key, and the beginning of its content's digest.
pub type Occurrence = [u8; OCCURRENCE];

#[derive(Default)]
struct Generation {
    occurrences: HashTable<Occurrence>,
}

#[derive(Default)]
pub struct Horizon {
    span: i64,
    max_half: usize,
    young: Generation,
    old: Generation,
    young_since: i64,
    pending: Vec<Occurrence>,
    /// By key, where the first of its occurrences lies in `pending`.
    first_pending: HashMap<Key, usize>,
    pub truncated: bool,
}

pub fn key_of(source: &str, holder: &str, id: &str) -> Key {
    let mut state = Params::new().hash_length(KEY).to_state();
    state.update(source.as_bytes()).update(b"\n").update(holder.as_bytes()).update(b"\n").update(id.as_bytes());
    state.finalize().as_bytes().try_into().expect("as long as was asked for")
}

pub fn received_of(occurrence: &Occurrence) -> i64 {
    occurrence[..RECEIVED].iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte))
}

fn key_in(occurrence: &Occurrence) -> &[u8] {
    &occurrence[RECEIVED..RECEIVED + KEY]
}

pub fn digest_in(occurrence: &Occurrence) -> &[u8] {
    &occurrence[RECEIVED + KEY..]
}

/// A key is a digest already, so some bytes of it are a hash.
fn hash(key: &[u8]) -> u64 {
    u64::from_le_bytes(key[..8].try_into().expect("a key is longer"))
}

impl Generation {
    fn len(&self) -> usize {
        self.occurrences.len()
    }

    fn add(&mut self, occurrence: Occurrence) {
        self.occurrences.insert_unique(hash(key_in(&occurrence)), occurrence, |each| hash(key_in(each)));
    }
}

impl Horizon {
    pub fn new(span: i64, max_ids: usize) -> Self {
        Horizon { span, max_half: (max_ids / 2).max(1), ..Horizon::default() }
    }

    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// What came under `key` and, seen from `now`, is not beyond the horizon.
    pub fn within(&self, key: &Key, now: i64) -> Vec<Occurrence> {
        let since = now - self.span;
        let mut found = Vec::new();
        for generation in [&self.old, &self.young] {
            found.extend(generation.occurrences.iter_hash(hash(key)).filter(|each| key_in(each) == key));
        }
        found.extend(self.pending_of(key));
        found.retain(|each| received_of(each) >= since);
        found
    }

    /// Remember, pending, that the event of `key` was forwarded with this content.
    pub fn remember(&mut self, key: &Key, digest: &[u8], received: i64) {
        let mut occurrence = [0; OCCURRENCE];
        occurrence[..RECEIVED].copy_from_slice(&received.max(0).to_be_bytes()[8 - RECEIVED..]);
        occurrence[RECEIVED..RECEIVED + KEY].copy_from_slice(key);
        occurrence[RECEIVED + KEY..].copy_from_slice(&digest[..DIGEST]);
        self.learn(occurrence);
    }

    /// Remember, pending, what was pending elsewhere.
    pub fn learn(&mut self, occurrence: Occurrence) {
        let key = key_in(&occurrence).try_into().expect("as long as a key");
        self.first_pending.entry(key).or_insert(self.pending.len());
        self.pending.push(occurrence);
    }

    fn pending_of(&self, key: &[u8]) -> impl Iterator<Item = &Occurrence> {
        let first = self.first_pending.get(key).copied().unwrap_or(self.pending.len());
        self.pending[first..].iter().filter(move |each| key_in(each) == key)
    }

    /// The pending occurrences; those of one key together.
    pub fn pending(&self) -> Vec<u8> {
        if self.first_pending.len() == self.pending.len() {
            return self.pending.concat();
        }
        let is_first = |place: usize, occurrence: &Occurrence| self.first_pending[key_in(occurrence)] == place;
        let firsts = self.pending.iter().enumerate().filter(|(place, occurrence)| is_first(*place, occurrence));
        firsts.flat_map(|(_, occurrence)| self.pending_of(key_in(occurrence)).flatten().copied()).collect()
    }

    pub fn keep(&mut self) {
        let firsts = self.first_pending.values().map(|place| received_of(&self.pending[*place]));
        let Some(newest) = firsts.max() else { return };
        let full = self.young.len() + self.first_pending.len() > self.max_half;
        if self.young.len() > 0 && (full || newest - self.young_since > self.span) {
            self.truncated |= full && self.old.len() > 0 && self.young_since > newest - self.span;
            self.old = std::mem::take(&mut self.young);
        }
        if self.young.len() == 0 {
            self.young_since = newest;
        }
        for occurrence in self.pending.drain(..) {
            self.young.add(occurrence);
        }
        self.first_pending.clear();
    }

    pub fn forget(&mut self) {
        self.pending.clear();
        self.first_pending.clear();
    }
}
