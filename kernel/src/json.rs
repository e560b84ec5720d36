//! JSON of which nearly every event is made: objects of strings, null, and few booleans and whole numbers, in UTF-8.
//! What is anything else (arrays, fractions, lone surrogates, control characters) is answered with None: not plain.

use std::borrow::Cow;

/// A member's value. Borrowed text stands in the input as canonical JSON writes it; owned text had escapes.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value<'a> {
    #[default]
    Absent,
    Null,
    Bool(bool),
    Int(i32),
    Text(Cow<'a, str>),
}

impl<'a> Value<'a> {
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn is_absent(&self) -> bool {
        matches!(self, Value::Absent)
    }

    /// Absent or null: nothing tells the one from the other.
    pub fn is_none(&self) -> bool {
        matches!(self, Value::Absent | Value::Null)
    }

    /// Append it as canonical JSON; what is absent as null.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Value::Absent | Value::Null => out.extend_from_slice(b"null"),
            Value::Bool(true) => out.extend_from_slice(b"true"),
            Value::Bool(false) => out.extend_from_slice(b"false"),
            Value::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Value::Text(Cow::Borrowed(text)) => {
                out.push(b'"');
                out.extend_from_slice(text.as_bytes());
                out.push(b'"');
            }
            Value::Text(Cow::Owned(text)) => write_escaped(text, out),
        }
    }
}

fn write_escaped(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Reads one text from its beginning to its end.
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(raw: &'a [u8]) -> Option<Self> {
        Some(Reader { text: simdutf8::basic::from_utf8(raw).ok()?, at: 0 })
    }

    /// Read an object; `member` is given each name and has to read the value.
    pub fn object(&mut self, mut member: impl FnMut(&mut Self, &str) -> Option<()>) -> Option<()> {
        self.expect(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let name = self.string()?;
            self.expect(b':')?;
            member(self, &name)?;
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    pub fn value(&mut self) -> Option<Value<'a>> {
        match self.peek()? {
            b'"' => Some(Value::Text(self.string()?)),
            b'n' => self.word("null", Value::Null),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            _ => self.integer(),
        }
    }

    pub fn end(&mut self) -> Option<()> {
        self.skip_blanks();
        (self.at == self.text.len()).then_some(())
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Option<Value<'a>> {
        self.text[self.at..].starts_with(word).then(|| self.at += word.len())?;
        Some(value)
    }

    fn integer(&mut self) -> Option<Value<'a>> {
        let rest = &self.text[self.at..];
        let length = rest.bytes().take_while(|byte| matches!(byte, b'-' | b'0'..=b'9')).count();
        let number: i32 = rest[..length].parse().ok()?;
        // As canonical JSON writes it: neither 007 nor -0, nor the beginning of a fraction.
        if number.to_string() != rest[..length] || matches!(rest.as_bytes().get(length), Some(b'.' | b'e' | b'E')) {
            return None;
        }
        self.at += length;
        Some(Value::Int(number))
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        self.expect(b'"')?;
        let (bytes, start) = (self.text.as_bytes(), self.at);
        let end = start + bytes[start..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
        self.at = end + 1;
        match bytes[end] {
            b'"' => Some(Cow::Borrowed(&self.text[start..end])),
            b'\\' => self.escaped(start, end).map(Cow::Owned),
            _ => None,
        }
    }

    /// The rest of a string that began at `start` and has its first escape at `escape`.
    fn escaped(&mut self, start: usize, escape: usize) -> Option<String> {
        let mut text = self.text[start..escape].to_owned();
        self.at = escape;
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
            text.push_str(&rest[..plain]);
            self.at += plain + 1;
            match rest.as_bytes()[plain] {
                b'"' => return Some(text),
                b'\\' => {}
                _ => return None,
            }
            let kind = *self.text.as_bytes().get(self.at)?;
            self.at += 1;
            text.push(match kind {
                b'"' | b'\\' | b'/' => kind as char,
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => self.code_point()?,
                _ => return None,
            });
        }
    }

    fn code_point(&mut self) -> Option<char> {
        let high = self.four_digits()?;
        if !(0xd800..0xdc00).contains(&high) {
            return char::from_u32(high);
        }
        self.text[self.at..].starts_with("\\u").then(|| self.at += 2)?;
        let low = self.four_digits()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
        char::from_u32(0x10000 + ((high - 0xd800) << 10) + low)
    }

    fn four_digits(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn peek(&mut self) -> Option<u8> {
        self.skip_blanks();
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.text.as_bytes().get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }
}
