//! In which partition a key belongs: Kafka's own (Java) partitioner, by murmur2.

const SEED: u32 = 0x9747_b28c;
const MULTIPLIER: u32 = 0x5bd1_e995;

/// The partition of `key` among `count`, from 0 on.
pub fn partition_of(key: &[u8], count: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % count
}

fn murmur2(key: &[u8]) -> u32 {
    let (words, rest) = key.as_chunks::<4>();
    let mut hash = words.iter().fold(SEED ^ key.len() as u32, |hash, word| {
        let word = u32::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        hash.wrapping_mul(MULTIPLIER) ^ (word ^ word >> 24).wrapping_mul(MULTIPLIER)
    });
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        hash = (hash ^ last).wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(MULTIPLIER);
    hash ^ hash >> 15
}

/// How many of the records stand in another partition than their key's, and of the first one of them the offset and that
/// partition; keys of more than `longest` bytes and records without one are not looked at.
pub fn find_misplaced<'a>(
    records: impl Iterator<Item = (Option<&'a [u8]>, i64)>,
    partition: u32,
    partitions: u32,
    longest: usize,
) -> Option<(usize, i64, u32)> {
    let keyed = records.filter_map(|(key, offset)| Some((key.filter(|key| key.len() <= longest)?, offset)));
    let belongs = keyed.map(|(key, offset)| (offset, partition_of(key, partitions)));
    let mut misplaced = belongs.filter(|(_, belongs)| *belongs != partition);
    let (offset, belongs) = misplaced.next()?;
    Some((1 + misplaced.count(), offset, belongs))
}
