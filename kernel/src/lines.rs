//! The lines of a file, one event each: what becomes of each, as the reference printed it of an event like it.

use sha2::{Digest, Sha256};

use crate::event::{Event, Key};
use crate::horizon::Horizon;
use crate::learnt::{Found, Lesson, Origin, Region, Unmet};
use crate::turn::{LATEST, Stop, Turns, key_of_event};

/// On what terms events are looked at.
pub struct Terms<'a> {
    /// Number and source of each province.
    pub provinces: &'a [(u8, String)],
    /// The one that all events come from; None lets an event's source say it.
    pub province: Option<u8>,
    /// When they were received, in milliseconds; None counts each one's own time.
    pub received: Option<i64>,
    /// What came of verifying signatures, as a number.
    pub signature: u8,
}

/// What has become of the lines so far.
#[derive(Default)]
pub struct Printed {
    pub text: Vec<u8>,
    pub forwarded: usize,
    pub rejected: usize,
}

impl Turns {
    /// Print what becomes of `lines` from `next` on until the reference has to be asked.
    pub fn print(
        &mut self,
        terms: &Terms,
        lines: &[&[u8]],
        next: usize,
        horizon: &mut Horizon,
        printed: &mut Printed,
    ) -> Option<Stop> {
        let mut content = Vec::new();
        for (index, raw) in lines.iter().enumerate().skip(next) {
            let Some((event, received, source)) = terms.read(raw) else { return Some(Stop { index, wanted: None }) };
            let key = key_of_event(&event);
            if !horizon.within(&key, received).is_empty() {
                return Some(Stop { index, wanted: None });
            }
            let unmet = self.unmet(&event, &source.1, received);
            match self.learnt.find(terms.origin(source.0), &event, unmet, false) {
                Found::Ask(is_wanted) => return Some(Stop { index, wanted: is_wanted.then_some(unmet) }),
                Found::Repeated(_) => return Some(Stop { index, wanted: None }),
                Found::Forward(filling) => {
                    content.clear();
                    event.content(&mut content);
                    horizon.remember(&key, &Sha256::digest(&content), received);
                    printed.forwarded += 1;
                    filling.print(&event, &mut printed.text);
                }
                Found::Reject(filling, _) => {
                    printed.rejected += 1;
                    filling.print(&event, &mut printed.text);
                }
            }
        }
        None
    }

    /// Have it learnt in which province the region of the event in `raw` lies, and what the words lead to, of which `expected`
    /// was printed.
    pub fn learn_line(&mut self, terms: &Terms, place: u8, (unmet, lesson): (Unmet, Lesson), raw: &[u8], expected: &[u8]) {
        let Some((event, _, source)) = terms.read(raw) else { return };
        let region = Region { place, number: 0 };
        self.learnt.learn_region(&event, region);
        self.learnt.learn(terms.origin(source.0), &event, region, unmet, lesson, |filling| {
            let mut text = Vec::new();
            filling.print(&event, &mut text);
            text == expected
        });
    }
}

impl Terms<'_> {
    fn origin(&self, province: u8) -> Origin {
        Origin { province, signature: self.signature }
    }

    /// The event, when it was received, and the province that it came from.
    fn read<'e>(&self, raw: &'e [u8]) -> Option<(Event<'e>, i64, &(u8, String))> {
        let event = Event::read(raw, Key::Unasked)?;
        // Rounded up, so as not to lie before the event.
        let received = self.received.unwrap_or_else(|| -(-event.time).div_euclid(1000));
        let source = self.provinces.iter().find(|(number, source)| match self.province {
            Some(province) => *number == province,
            None => source == event.source_text(),
        })?;
        (0..LATEST).contains(&received).then_some((event, received, source))
    }
}
