//! A record as Python wrote it, with the places where an event's own values stand.

use std::collections::HashSet;
use std::sync::Arc;

use crate::event::Event;

/// Texts that many templates share, each once: what is used all the time stays in the processor's cache.
#[derive(Default)]
pub struct Texts(HashSet<Arc<[u8]>>);

impl Texts {
    pub fn share(&mut self, text: &[u8]) -> Arc<[u8]> {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let new: Arc<[u8]> = text.into();
        self.0.insert(new.clone());
        new
    }
}

/// What stands in a place. The names are those that Python gives them.
#[derive(Clone, Copy)]
enum Slot {
    Record,
    Received,
    Carried,
    Id,
    /// The id as it is, and not as JSON.
    IdText,
    Source,
    Time,
    Reference,
    Name,
    Identifier,
    ValidFrom,
    ValidUntil,
    MatterCode,
    MatterName,
    VerifierCode,
    VerifierName,
    HolderKind,
    IssuerCode,
    TypeCode,
    Region,
    Input,
    Content,
    Decision,
    Part,
    Nothing,
}

/// Texts, and names of the places between them.
pub type TextsAndNames = (Vec<Vec<u8>>, Vec<String>);

pub struct Template {
    parts: Vec<(Arc<[u8]>, Slot)>,
    end: Arc<[u8]>,
}

/// Of a decision: when its event was received, the digests as hexadecimal digits, and what its words alone determine.
#[derive(Clone, Copy)]
pub struct Proof<'a> {
    pub received: &'a str,
    pub input: &'a [u8; 64],
    pub content: &'a [u8; 64],
    pub decision: &'a [u8; 64],
    pub part: Option<&'a Template>,
}

impl Template {
    /// Of texts and the names of the places between them: one text more than names. None where a name is unknown.
    pub fn new((texts, names): &TextsAndNames, shared: &mut Texts) -> Option<Self> {
        let (end, texts) = texts.split_last()?;
        let slots = names.iter().map(|name| slot_of(name)).collect::<Option<Vec<_>>>()?;
        (texts.len() == slots.len())
            .then(|| Template { parts: texts.iter().map(|text| shared.share(text)).zip(slots).collect(), end: shared.share(end) })
    }

    pub fn fill(&self, event: &Event, proof: &Proof, out: &mut Vec<u8>) {
        for (text, slot) in &self.parts {
            out.extend_from_slice(text);
            match slot {
                Slot::Record => out.extend_from_slice(&proof.decision[..32]),
                Slot::Received => out.extend_from_slice(proof.received.as_bytes()),
                Slot::Carried => event.carried(out),
                Slot::Id => event.id().write(out),
                Slot::IdText => out.extend_from_slice(event.id().text().unwrap_or_default().as_bytes()),
                Slot::Source => event.source().write(out),
                Slot::Time => event.time_text().write(out),
                Slot::Reference => event.reference().write(out),
                Slot::Name => event.name().write(out),
                Slot::Identifier => event.identifier().write(out),
                Slot::ValidFrom => event.valid_from_text().write(out),
                Slot::ValidUntil => event.valid_until_text().write(out),
                Slot::MatterCode => event.matter_code().write(out),
                Slot::MatterName => event.matter_name().write(out),
                Slot::VerifierCode => event.verifier_code().write(out),
                Slot::VerifierName => event.verifier_name().write(out),
                Slot::HolderKind => event.holder_kind().write(out),
                Slot::IssuerCode => event.issuer_code().write(out),
                Slot::TypeCode => event.type_code().write(out),
                Slot::Region => event.region().write(out),
                Slot::Input => out.extend_from_slice(proof.input),
                Slot::Content => out.extend_from_slice(proof.content),
                Slot::Decision => out.extend_from_slice(proof.decision),
                Slot::Part => proof.part.iter().for_each(|part| part.fill(event, &Proof { part: None, ..*proof }, out)),
                Slot::Nothing => {}
            }
        }
        out.extend_from_slice(&self.end);
    }
}

fn slot_of(name: &str) -> Option<Slot> {
    Some(match name {
        "record" => Slot::Record,
        "received" => Slot::Received,
        "carried" => Slot::Carried,
        "id" => Slot::Id,
        "id as text" => Slot::IdText,
        "source" => Slot::Source,
        "time" => Slot::Time,
        "ref" => Slot::Reference,
        "name_masked" => Slot::Name,
        "identifier" => Slot::Identifier,
        "valid_from" => Slot::ValidFrom,
        "valid_until" => Slot::ValidUntil,
        "matter_code" => Slot::MatterCode,
        "matter_name" => Slot::MatterName,
        "verifier_code" => Slot::VerifierCode,
        "verifier_name" => Slot::VerifierName,
        "kind" => Slot::HolderKind,
        "issuer_code" => Slot::IssuerCode,
        "type_code" => Slot::TypeCode,
        "region_code" => Slot::Region,
        "input" => Slot::Input,
        "content" => Slot::Content,
        "decision" => Slot::Decision,
        "part" => Slot::Part,
        "" => Slot::Nothing,
        _ => return None,
    })
}
