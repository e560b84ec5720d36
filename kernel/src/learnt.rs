//! What was learnt of words that come again and again. There is no rule in it: the reference says what they lead to, and
//! gives the texts.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

use pyo3::FromPyObject;
use sha2::{Digest, Sha256};

use crate::event::{ALONE, Event, append_word};
use crate::shapes::{Day, china_day};
use crate::template::{Proof, Template, Texts, TextsAndNames};

/// Longer words are nobody's name, and hardly come again. (How many entries there are, Python bounds.)
const LONGEST_WORDS: usize = 2_048;
/// As long as `Learnt::len` is less, what comes for the first time is learnt; then what comes again.
const ROOMY: usize = 16_384;
/// A case, with what the reference remembers of it, takes the memory of so many words.
const CASE: usize = 8;
const MOST_MET: usize = 65_536;

type Map<Key, Value> = HashMap<Key, Value, hashbrown::DefaultHashBuilder>;

/// Which conditions of its own an event does not fulfil, one bit each; what follows from it, the reference says.
pub type Unmet = u8;
pub const FUTURE: Unmet = 1;
pub const STALE: Unmet = 2;
pub const NOT_YET_VALID: Unmet = 4;
pub const EXPIRED: Unmet = 8;
pub const IDENTIFIER: Unmet = 16;
pub const ID_KNOWN: Unmet = 32;
pub const OTHER_SOURCE: Unmet = 64;

/// Numbers of the province that an event came from, and of what came of verifying its signature.
#[derive(Clone, Copy)]
pub struct Origin {
    pub province: u8,
    pub signature: u8,
}

/// A record to be filled in, and what its decision's digest is over, behind the digest of its input.
struct Record {
    template: Template,
    ground: Vec<u8>,
}

impl Record {
    fn fill(&self, event: &Event, part: &Template, received: &str, input: &[u8; 64], content: &[u8], out: &mut Vec<u8>) {
        let decided = Sha256::new().chain_update(b"sha256:").chain_update(input).chain_update(&self.ground);
        let (content, decision) = (&hex64(content), &hex64(&decided.finalize()));
        self.template.fill(event, &Proof { received, input, content, decision, part: Some(part) }, out);
    }
}

/// What events of one group become that fail the same conditions.
struct Case {
    record: Record,
    rejection: usize,
}

/// Of words that a valid event had.
struct Known {
    /// What else has a say in a rejection, by number.
    group: usize,
    /// The text in a rejection that these words alone determine.
    part: Template,
    facets: usize,
    /// What an event becomes that fulfils all conditions: None where no such one came yet, or where it is rejected; and
    /// None inside it where the reference is always to be asked.
    forward: Option<Option<Record>>,
}

enum Entry {
    Known(Box<Known>),
    /// The verifying unit has a say beside these words.
    ByUnit,
}

/// Of a region: in whose province it lies, and its number among all, which facets have.
#[derive(Clone, Copy)]
pub struct Region {
    pub place: u8,
    pub number: usize,
}

/// What the reference taught of words.
#[derive(FromPyObject)]
pub struct Lesson {
    unit_matters: bool,
    group: usize,
    part: TextsAndNames,
    facets: usize,
    ground: Vec<u8>,
    /// Its number; None for what is forwarded.
    rejection: Option<usize>,
    /// Of the record; None where it was taught before.
    template: Option<TextsAndNames>,
}

/// What becomes of an event.
pub enum Found<'a> {
    Forward(Filling<'a>),
    Reject(Filling<'a>, usize),
    /// It was forwarded before. The region's number.
    Repeated(usize),
    /// The reference decides; and is to teach, if true.
    Ask(bool),
}

/// What a record is made of, but for the event; and the numbers of what it is counted by.
pub struct Filling<'a> {
    record: &'a Record,
    part: &'a Template,
    pub facets: usize,
    pub region: usize,
}

impl Filling<'_> {
    /// Print a line in which nothing stands of a decision's digests.
    pub fn print(&self, event: &Event, out: &mut Vec<u8>) {
        self.record.template.fill(
            event,
            &Proof { received: "", input: &[0; 64], content: &[0; 64], decision: &[0; 64], part: None },
            out,
        );
    }

    pub fn fill(&self, event: &Event, received: &str, input: &[u8; 64], content: &[u8], out: &mut Vec<u8>) {
        self.record.fill(event, self.part, received, input, content, out);
    }
}

#[derive(Default)]
pub struct Learnt {
    /// By the words that have a say together.
    known: Map<Vec<u8>, Entry>,
    regions: Map<Vec<u8>, Region>,
    /// Words that a valid event had, and that have no say.
    alone: HashSet<Vec<u8>, hashbrown::DefaultHashBuilder>,
    /// By group; None where the reference is always to be asked.
    cases: Map<(usize, Unmet), Option<Case>>,
    /// Hashes of words that came once, where there is little room: those that never come again are not worth it.
    met: HashSet<u64>,
    texts: Texts,
    /// The first day of each edition of the list.
    editions: Vec<Day>,
    /// Words that are being looked up.
    words: Vec<u8>,
}

impl Learnt {
    pub fn clear(&mut self, editions: Vec<Day>) {
        *self = Learnt { editions, ..Learnt::default() };
    }

    /// How much was learnt: the entries of the largest table.
    pub fn len(&self) -> usize {
        self.known.len().max(CASE * self.cases.len()).max(self.alone.len()).max(self.regions.len())
    }

    pub fn begin_turn(&mut self) {
        if self.met.len() > MOST_MET {
            self.met.clear();
        }
    }

    /// What becomes of an event whose own values are plainly valid, and which does not fulfil these conditions.
    pub fn find(&mut self, origin: Origin, event: &Event, unmet: Unmet, is_repeated: bool) -> Found<'_> {
        if event.length_of_words() > LONGEST_WORDS {
            return Found::Ask(false);
        }
        let is_roomy = self.len() < ROOMY;
        let (met, hasher, words) = (&mut self.met, self.known.hasher(), &mut self.words);
        let mut is_worth_it = |words: &[u8]| is_roomy || !met.insert(hasher.hash_one(words));
        note_region(event, words);
        // Whoever is asked names the region, and it is taught with the words.
        let Some(region) = self.regions.get(words.as_slice()) else { return Found::Ask(is_worth_it(words)) };
        if is_repeated {
            return Found::Repeated(region.number);
        }
        for group in 0..ALONE {
            if event.words_alone(group, words) && !self.alone.contains(words.as_slice()) {
                return Found::Ask(is_worth_it(words));
            }
        }
        note_words(origin, &self.editions, region.place, event, words);
        let mut entry = self.known.get(words.as_slice());
        if matches!(entry, Some(Entry::ByUnit)) {
            append_word(event.verifier_name(), words);
            entry = self.known.get(words.as_slice());
        }
        let Some(Entry::Known(known)) = entry else { return Found::Ask(is_worth_it(words)) };
        let filling = |record| Filling { record, part: &known.part, facets: known.facets, region: region.number };
        match (&known.forward, self.cases.get(&(known.group, unmet))) {
            (Some(Some(record)), _) if unmet == 0 => Found::Forward(filling(record)),
            (Some(None), _) if unmet == 0 => Found::Ask(false),
            (_, Some(Some(Case { record, rejection }))) => Found::Reject(filling(record), *rejection),
            (_, Some(None)) => Found::Ask(false),
            (_, None) => Found::Ask(true),
        }
    }

    /// Remember the region of `event`.
    pub fn learn_region(&mut self, event: &Event, region: Region) {
        let mut words = Vec::new();
        note_region(event, &mut words);
        self.regions.insert(words, region);
    }

    /// Remember what the words of `event` lead to; a record only if `gives` says that it is what the reference wrote of it.
    pub fn learn(
        &mut self,
        origin: Origin,
        event: &Event,
        Region { place, number: region }: Region,
        unmet: Unmet,
        lesson: Lesson,
        gives: impl Fn(&Filling) -> bool,
    ) {
        let Lesson { unit_matters, group, facets, rejection, .. } = lesson;
        let Some(part) = Template::new(&lesson.part, &mut self.texts) else { return };
        let mut words = Vec::new();
        note_words(origin, &self.editions, place, event, &mut words);
        let without_unit = words.clone();
        if unit_matters {
            append_word(event.verifier_name(), &mut words);
        }
        let record = lesson
            .template
            .and_then(|template| Template::new(&template, &mut self.texts))
            .map(|template| Record { template, ground: lesson.ground });
        let is_right = |record: &Record| gives(&Filling { record, part: &part, facets, region });
        let mut forward = match self.known.remove(&words) {
            Some(Entry::Known(known)) => known.forward,
            _ => None,
        };
        match rejection {
            None if unmet == 0 => forward = Some(record.filter(is_right)),
            // The reference sees nothing amiss where this does.
            None => drop(self.cases.insert((group, unmet), None)),
            Some(rejection) => {
                let case = self.cases.entry((group, unmet)).or_insert_with(|| record.map(|record| Case { record, rejection }));
                // With other words of the group it was right.
                if case.as_ref().is_some_and(|case| !is_right(&case.record)) {
                    *case = None;
                }
            }
        }
        if unit_matters {
            self.known.insert(without_unit, Entry::ByUnit);
        }
        self.known.insert(words, Entry::Known(Box::new(Known { group, part, facets, forward })));
        for group in 0..ALONE {
            let mut words = Vec::new();
            if event.words_alone(group, &mut words) {
                self.alone.insert(words);
            }
        }
    }
}

/// Put together the words that have a say together: province, signature, edition of the list and place count among them.
fn note_words(origin: Origin, editions: &[Day], place: u8, event: &Event, words: &mut Vec<u8>) {
    let edition = editions.partition_point(|first| *first <= china_day(event.time));
    words.clear();
    words.extend_from_slice(&[origin.province, origin.signature, place]);
    words.extend_from_slice(&edition.to_le_bytes());
    event.words(words);
}

fn note_region(event: &Event, words: &mut Vec<u8>) {
    words.clear();
    append_word(event.region(), words);
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

pub fn hex64(digest: &[u8]) -> [u8; 64] {
    let mut digits = [0; 64];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(digest) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    digits
}
