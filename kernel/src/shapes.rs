//! Shapes of an event's own fields. Each function says yes only where Python's reference surely does.

/// Microseconds since 1970-01-01T00:00:00Z.
pub type Instant = i64;
/// Days since 1970-01-01.
pub type Day = i64;

const DAY: i64 = 86_400_000_000;
const CHINA: i64 = 8 * 3_600_000_000;
const OID: &str = "1.2.156.3005.2.";
const MAX_IDENTIFIER: usize = 128;
/// Those of a mobile number.
const FEWEST_DIGITS: usize = 11;
/// As many characters can be eleven digits after compatibility folding.
const FEWEST_CHARACTERS: usize = 6;
const RESIDENT: usize = 18;
const LONGEST_NUMBER: usize = 18;

/// The calendar day in UTC+8.
pub fn china_day(instant: Instant) -> Day {
    (instant + CHINA).div_euclid(DAY)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
}

/// A calendar day, YYYY-MM-DD, of years that need no thought.
pub fn day(text: &str) -> Option<Day> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let (year, month, day) = (number(&bytes[..4])?, number(&bytes[5..7])?, number(&bytes[8..])?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if !(1000..9000).contains(&year) || !(1..=longest).contains(&day) {
        return None;
    }
    // Days from the civil calendar, years beginning in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    Some(365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468)
}

/// An RFC 3339 date-time; what is finer than a microsecond is cut off.
pub fn instant(text: &str) -> Option<Instant> {
    let bytes = text.as_bytes();
    if bytes.len() < 20 || !text.is_ascii() || !matches!(bytes[10], b'T' | b't') || bytes[13] != b':' || bytes[16] != b':' {
        return None;
    }
    let (hours, minutes, seconds) = (number(&bytes[11..13])?, number(&bytes[14..16])?, number(&bytes[17..19])?);
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let mut rest = &bytes[19..];
    let mut micros = 0;
    if rest[0] == b'.' {
        let digits = rest[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=9).contains(&digits) {
            return None;
        }
        let kept = digits.min(6);
        micros = number(&rest[1..=kept])? * 10_i64.pow(6 - kept as u32);
        rest = &rest[1 + digits..];
    }
    let offset = match rest {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 60 + minutes) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    Some(day(&text[..10])? * DAY + ((hours * 60 + minutes - offset) * 60 + seconds) * 1_000_000 + micros)
}

/// Milliseconds since the epoch as RFC 3339 in UTC.
pub fn format_milliseconds(milliseconds: i64) -> String {
    let (days, rest) = (milliseconds.div_euclid(DAY / 1000) + 719_468, milliseconds.rem_euclid(DAY / 1000));
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year + era * 400 + i64::from(month <= 2);
    let (seconds, millis) = (rest / 1000, rest % 1000);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{millis:03}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

pub fn is_reference(text: &str) -> bool {
    text.strip_prefix("sm3:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

pub fn is_masked(name: &str) -> bool {
    name.contains(['*', '＊', '某', '○'])
}

/// Whether a text holds nothing but printable ASCII and characters that surely are no digits in any form.
pub fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, 0x20..0x7f)) || text.chars().all(|each| matches!(each, ' '..='~') || is_no_digit(each))
}

/// Ideographs, Chinese punctuation and marks: neither of no width, nor a digit after compatibility folding.
fn is_no_digit(each: char) -> bool {
    matches!(
        each,
        '\u{4e00}'..='\u{9fff}' | '\u{3001}'..='\u{3011}' | '\u{b7}' | '\u{2014}' | '\u{2018}'..='\u{201d}' | '○'
            | '（' | '）' | '＊' | '，' | '：' | '；' | '！' | '？'
    )
}

/// A W3C trace parent that goes out as a header, too.
pub fn is_trace_parent(text: &str) -> bool {
    let hex = |part: &str, length| part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let any = |part: &str| part.bytes().any(|byte| byte != b'0');
    let mut parts = text.split('-');
    let (Some(version), Some(trace), Some(span), Some(flags), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    hex(version, 2) && version != "ff" && hex(trace, 32) && any(trace) && hex(span, 16) && any(span) && hex(flags, 2)
}

/// Whether the check character of a certificate identifier is right (GB/T 36904, ISO 7064 MOD 37,36). None where its shape is
/// another one, or a part of it may be a person's number.
pub fn identifier(text: &str) -> Option<bool> {
    let mut parts = text.strip_prefix(OID).unwrap_or(text).split('.');
    let (Some(kind), Some(issuer), Some(serial), Some(version), Some(check), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !text.is_ascii() || text.len() > MAX_IDENTIFIER {
        return None;
    }
    if kind.len() != 21 || issuer.len() != 18 || serial.is_empty() || version.len() != 3 || check.len() != 1 {
        return None;
    }
    if !digits(&kind[18..]) || !digits(version) || may_hold_number(issuer) || may_hold_number(serial) {
        return None;
    }
    let value = |byte: u8| match byte {
        b'0'..=b'9' => Some(u32::from(byte - b'0')),
        b'A'..=b'Z' => Some(u32::from(byte - b'A') + 10),
        _ => None,
    };
    let product = [kind, issuer, serial, version].iter().flat_map(|part| part.bytes()).try_fold(36, |product, byte| {
        let sum = (product + value(byte)?) % 36;
        Some(if sum == 0 { 36 } else { sum } * 2 % 37)
    });
    Some((product? + value(check.as_bytes()[0])?) % 36 == 1)
}

/// Whether `text` may hold a resident identity number or a mobile number: false is sure, true is the reference's to look at.
pub fn may_hold_number(text: &str) -> bool {
    if text.is_ascii() {
        return has_digits_in_a_row(text.as_bytes()) && may_hold_number_in_ascii(text.as_bytes());
    }
    if !is_plain(text) {
        return text.chars().count() >= FEWEST_CHARACTERS;
    }
    text.bytes().filter(u8::is_ascii_digit).count() >= FEWEST_DIGITS
}

/// Whether as many digits as a number has lie in a row, separators apart. Of so many bytes side by side one is looked at:
/// nearly no text is long for want of numbers.
fn has_digits_in_a_row(text: &[u8]) -> bool {
    let belongs = |byte: &u8| byte.is_ascii_digit() || is_separator(*byte);
    let mut at = FEWEST_DIGITS - 1;
    while at < text.len() {
        if belongs(&text[at]) {
            let before = text[..at].iter().rev().take_while(|byte| belongs(byte)).count();
            let end = at + text[at..].iter().take_while(|byte| belongs(byte)).count();
            if text[at - before..end].iter().filter(|byte| byte.is_ascii_digit()).count() >= FEWEST_DIGITS {
                return true;
            }
            at = end;
        }
        at += FEWEST_DIGITS;
    }
    false
}

/// A number touches no other letter or digit, and one separator may stand between two of its digits: it is some of the runs
/// of digits that lie side by side, whole ones.
fn may_hold_number_in_ascii(text: &[u8]) -> bool {
    let mut digits: [u8; LONGEST_NUMBER] = [0; LONGEST_NUMBER];
    let mut at = 0;
    while at < text.len() {
        // From the beginning of a run of letters and digits, as far as digits go, over single separators.
        if !text[at].is_ascii_alphanumeric() {
            at += 1;
            continue;
        }
        let (mut count, mut next) = (0, at);
        while next < text.len() {
            let byte = text[next];
            if byte.is_ascii_digit() || (matches!(byte, b'X' | b'x') && count == RESIDENT - 1) {
                if count == LONGEST_NUMBER {
                    break;
                }
                digits[count] = byte;
                count += 1;
                let ends = text.get(next + 1).is_none_or(|byte| !byte.is_ascii_alphanumeric());
                if ends && is_number(&digits[..count]) {
                    return true;
                }
            } else if !is_separator(byte) || next == at || is_separator(text[next - 1]) {
                break;
            }
            next += 1;
        }
        at += text[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    }
    false
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'-' | b'.' | b'\t'..=b'\r' | 0x1c..=0x1f)
}

/// Whether these digits are a mobile number, also with its country's code, or look like a resident's.
fn is_number(digits: &[u8]) -> bool {
    let mobile = |digits: &[u8]| matches!(digits, [b'1', b'3'..=b'9', rest @ ..] if rest.len() == 9);
    let country = |digits: &[u8]| matches!(digits, [b'8', b'6', rest @ ..] if mobile(rest));
    if digits.len() == RESIDENT {
        let part = |place: std::ops::Range<usize>| number(&digits[place]).unwrap_or_default();
        return (1800..=2099).contains(&part(6..10)) && (1..=12).contains(&part(10..12)) && (1..=31).contains(&part(12..14));
    }
    mobile(digits) || country(digits) || digits.strip_prefix(b"00").is_some_and(country)
}
