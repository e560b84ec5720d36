//! What was learnt of words that come again and again. There is no rule in it: the reference says what they lead to, and
//! gives the texts.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::event::Event;
use crate::shapes::Day;
use crate::template::{Proof, Template, Texts};

/// Longer words are nobody's name, and hardly come again. (How many entries there are, Python bounds.)
const LONGEST_WORDS: usize = 2_048;
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

/// An event's words: those that a rejection depends on, and then those that only what is forwarded repeats.
#[derive(Clone, Default)]
pub struct Words {
    pub all: Vec<u8>,
    pub rest: usize,
}

impl Words {
    fn shown(&self) -> &[u8] {
        &self.all[..self.rest]
    }

    fn others(&self) -> &[u8] {
        &self.all[self.rest..]
    }
}

/// A record to be filled in, and what its decision's digest is over, behind the digest of its input.
struct Record {
    template: Template,
    ground: Vec<u8>,
}

impl Record {
    fn fill(&self, event: &Event, part: &[Arc<[u8]>], received: &str, input: &[u8; 64], content: &[u8], out: &mut Vec<u8>) {
        let decided = Sha256::new().chain_update(b"sha256:").chain_update(input).chain_update(&self.ground);
        let (content, decision) = (&hex64(content), &hex64(&decided.finalize()));
        self.template.fill(event, &Proof { received, input, content, decision, part }, out);
    }
}

/// What an event becomes that fulfils all conditions.
struct Forward {
    record: Record,
    facets: usize,
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
    part: Vec<Arc<[u8]>>,
    facets: usize,
    /// The facets of an event that was forwarded before.
    repeated: usize,
    is_forwarded: bool,
}

/// What the reference taught: group; part; facets; those of a repetition; ground; number of the rejection; texts and names of
/// the places of the record, None where they were taught before.
pub type Lesson = (usize, Vec<Vec<u8>>, usize, usize, Vec<u8>, Option<usize>, Option<(Vec<Vec<u8>>, Vec<String>)>);

/// What becomes of an event.
pub enum Found<'a> {
    Forward(Filling<'a>),
    Reject(Filling<'a>, usize),
    /// It was forwarded before. The facets' number.
    Repeated(usize),
    /// The reference decides; and is to teach, if true.
    Ask(bool),
}

/// What a record is made of, but for the event.
pub struct Filling<'a> {
    record: &'a Record,
    part: &'a [Arc<[u8]>],
    pub facets: usize,
}

impl Filling<'_> {
    /// Print a line in which nothing stands of a decision's digests.
    pub fn print(&self, event: &Event, out: &mut Vec<u8>) {
        self.record.template.fill(
            event,
            &Proof { received: "", input: &[0; 64], content: &[0; 64], decision: &[0; 64], part: &[] },
            out,
        );
    }

    pub fn fill(&self, event: &Event, received: &str, input: &[u8; 64], content: &[u8], out: &mut Vec<u8>) {
        self.record.fill(event, self.part, received, input, content, out);
    }
}

#[derive(Default)]
pub struct Learnt {
    /// By all words; None where the reference is always to be asked.
    forwards: Map<Vec<u8>, Option<Forward>>,
    /// By the words that a rejection depends on.
    known: Map<Vec<u8>, Known>,
    /// Other words that a valid event had.
    others: HashSet<Vec<u8>, hashbrown::DefaultHashBuilder>,
    /// By group; None where the reference is always to be asked.
    cases: Map<(usize, Unmet), Option<Case>>,
    /// Hashes of words that came once: those that never come again are not worth a template.
    met: HashSet<u64>,
    texts: Texts,
    /// The first day of each edition of the list.
    editions: Vec<Day>,
}

impl Learnt {
    pub fn clear(&mut self, editions: Vec<Day>) {
        *self = Learnt { editions, ..Learnt::default() };
    }

    /// How many entries the largest table has.
    pub fn len(&self) -> usize {
        self.forwards.len().max(self.known.len()).max(self.cases.len()).max(self.others.len())
    }

    pub fn begin_turn(&mut self) {
        if self.met.len() > MOST_MET {
            self.met.clear();
        }
    }

    pub fn edition_on(&self, day: Day) -> usize {
        self.editions.partition_point(|first| *first <= day)
    }

    pub fn find(&mut self, words: &Words, unmet: Unmet, is_repeated: bool) -> Found<'_> {
        if unmet == 0 {
            match self.forwards.get(words.all.as_slice()) {
                Some(Some(Forward { record, facets })) => {
                    return Found::Forward(Filling { record, part: &[], facets: *facets });
                }
                Some(None) => return Found::Ask(false),
                None => {}
            }
        }
        if words.all.len() > LONGEST_WORDS {
            return Found::Ask(false);
        }
        let hasher = self.known.hasher();
        let Some(known) = self.known.get(words.shown()) else {
            return Found::Ask(!self.met.insert(hasher.hash_one(words.shown())) && !is_repeated);
        };
        if !self.others.contains(words.others()) {
            return Found::Ask(!self.met.insert(hasher.hash_one(words.others())) && !is_repeated);
        }
        if unmet == 0 && known.is_forwarded {
            return Found::Ask(!self.met.insert(hasher.hash_one(&words.all)));
        }
        if is_repeated {
            return Found::Repeated(known.repeated);
        }
        match self.cases.get(&(known.group, unmet)) {
            Some(Some(Case { record, rejection })) => {
                Found::Reject(Filling { record, part: &known.part, facets: known.facets }, *rejection)
            }
            Some(None) => Found::Ask(false),
            None => Found::Ask(true),
        }
    }

    /// Remember what `words` lead to; a record only if `gives` says that it is what the reference wrote of the event that
    /// they came with.
    pub fn learn(&mut self, words: Words, unmet: Unmet, lesson: Option<Lesson>, gives: impl Fn(&Filling) -> bool) {
        let Some((group, part, facets, repeated, ground, rejection, template)) = lesson else {
            self.forwards.insert(words.all, None);
            return;
        };
        let part: Vec<_> = part.iter().map(|text| self.texts.share(text)).collect();
        let record = template
            .and_then(|(texts, names)| Template::new(&texts, &names, &mut self.texts))
            .map(|template| Record { template, ground });
        let is_right = |record: &Record| gives(&Filling { record, part: &part, facets });
        match rejection {
            None if unmet == 0 => {
                let forward = record.filter(is_right).map(|record| Forward { record, facets });
                self.forwards.insert(words.all.clone(), forward);
            }
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
        self.others.insert(words.others().to_vec());
        let shown = words.shown().to_vec();
        let is_forwarded = (rejection.is_none() && unmet == 0) || self.known.get(&shown).is_some_and(|known| known.is_forwarded);
        self.known.insert(shown, Known { group, part, facets, repeated, is_forwarded });
    }
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
