//! The ledger's digests: over one text, and over the digests of many, which are computed side by side.

use multiversion::multiversion;
use sha2::{Digest as _, Sha256};
use sm3::Sm3;

pub const LENGTH: usize = 32;
const BLOCK: usize = 64;
/// As many messages as a vector register of 512 bits has words.
const LANES: usize = 16;

#[derive(Clone, Copy)]
pub enum Algorithm {
    Sm3,
    Sha256,
}

impl Algorithm {
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "sm3" => Some(Algorithm::Sm3),
            "sha256" => Some(Algorithm::Sha256),
            _ => None,
        }
    }

    pub fn digest(self, text: &[u8]) -> [u8; LENGTH] {
        match self {
            Algorithm::Sm3 => Sm3::digest(text).into(),
            Algorithm::Sha256 => Sha256::digest(text).into(),
        }
    }

    /// The digest of each of `texts`, in order.
    pub fn digest_all(self, texts: &[&[u8]]) -> Vec<[u8; LENGTH]> {
        match self {
            Algorithm::Sha256 => texts.iter().map(|text| self.digest(text)).collect(),
            Algorithm::Sm3 => sm3_side_by_side(texts),
        }
    }
}

const IV: [u32; 8] = [0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600, 0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e];

/// The constant of each round, turned as that round has it (GB/T 32905, clause 5.3.3).
const T: [u32; 64] = {
    let mut turned = [0; 64];
    let mut round = 0;
    while round < 64 {
        let constant: u32 = if round < 16 { 0x79cc4519 } else { 0x7a879d8a };
        turned[round] = constant.rotate_left(round as u32 % 32);
        round += 1;
    }
    turned
};

/// A message in blocks: its own, and those of its padding.
struct Padded<'a> {
    whole: &'a [[u8; BLOCK]],
    end: [[u8; BLOCK]; 2],
    blocks: usize,
}

impl<'a> Padded<'a> {
    fn new(text: &'a [u8]) -> Self {
        let (whole, rest) = text.as_chunks::<BLOCK>();
        let mut end = [0; 2 * BLOCK];
        end[..rest.len()].copy_from_slice(rest);
        end[rest.len()] = 0x80;
        let size = if rest.len() < BLOCK - 8 { BLOCK } else { 2 * BLOCK };
        end[size - 8..size].copy_from_slice(&(text.len() as u64 * 8).to_be_bytes());
        let end = [end[..BLOCK].try_into().expect("a block"), end[BLOCK..].try_into().expect("a block")];
        Padded { whole, end, blocks: whole.len() + size / BLOCK }
    }

    fn block(&self, number: usize) -> &[u8; BLOCK] {
        self.whole.get(number).unwrap_or_else(|| &self.end[number - self.whole.len()])
    }
}

fn sm3_side_by_side(texts: &[&[u8]]) -> Vec<[u8; LENGTH]> {
    let padded: Vec<Padded> = texts.iter().map(|text| Padded::new(text)).collect();
    // Messages of like length together: a group goes on until its longest ends.
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|place| padded[*place].blocks);
    let mut digests = vec![[0; LENGTH]; texts.len()];
    for group in order.chunks(LANES) {
        let mut state = IV.map(|word| [word; LANES]);
        let most = group.iter().map(|place| padded[*place].blocks).max().unwrap_or_default();
        for number in 0..most {
            // A lane whose message has ended, or that has none, works on a block of somebody else's, in vain.
            let lane = |lane: usize| &padded[group[lane.min(group.len() - 1)]];
            let blocks: [&[u8; BLOCK]; LANES] = std::array::from_fn(|each| lane(each).block(number.min(lane(each).blocks - 1)));
            compress(&mut state, &blocks);
            for (lane, place) in group.iter().enumerate() {
                if number + 1 == padded[*place].blocks {
                    for (bytes, words) in digests[*place].chunks_exact_mut(4).zip(&state) {
                        bytes.copy_from_slice(&words[lane].to_be_bytes());
                    }
                }
            }
        }
    }
    digests
}

type Words = [u32; LANES];

#[inline(always)]
fn each(word: impl Fn(usize) -> u32) -> Words {
    std::array::from_fn(word)
}

#[inline(always)]
fn p0(x: u32) -> u32 {
    x ^ x.rotate_left(9) ^ x.rotate_left(17)
}

#[inline(always)]
fn p1(x: u32) -> u32 {
    x ^ x.rotate_left(15) ^ x.rotate_left(23)
}

/// SM3's compression function (GB/T 32905, clause 5.3.3), for a block of each message; compiled for several processors, and
/// the best is chosen when it first runs.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2", "aarch64+neon"))]
fn compress(state: &mut [Words; 8], blocks: &[&[u8; BLOCK]; LANES]) {
    let mut w: [Words; 16] = [[0; LANES]; 16];
    for (place, words) in w.iter_mut().enumerate() {
        for (word, block) in words.iter_mut().zip(blocks) {
            *word = u32::from_be_bytes(block.as_chunks::<4>().0[place]);
        }
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for j in 0..64 {
        let wj = w[j % 16];
        if j >= 12 {
            let k = j + 4;
            w[k % 16] = each(|l| {
                p1(w[k % 16][l] ^ w[(k + 7) % 16][l] ^ w[(k + 13) % 16][l].rotate_left(15))
                    ^ w[(k + 3) % 16][l].rotate_left(7)
                    ^ w[(k + 10) % 16][l]
            });
        }
        let w4 = w[(j + 4) % 16];
        let ss1 = each(|l| a[l].rotate_left(12).wrapping_add(e[l]).wrapping_add(T[j]).rotate_left(7));
        let tt1 = each(|l| {
            let ff = if j < 16 { a[l] ^ b[l] ^ c[l] } else { (a[l] & b[l]) | (c[l] & (a[l] | b[l])) };
            ff.wrapping_add(d[l]).wrapping_add(ss1[l] ^ a[l].rotate_left(12)).wrapping_add(wj[l] ^ w4[l])
        });
        let tt2 = each(|l| {
            let gg = if j < 16 { e[l] ^ f[l] ^ g[l] } else { ((f[l] ^ g[l]) & e[l]) ^ g[l] };
            p0(gg.wrapping_add(h[l]).wrapping_add(ss1[l]).wrapping_add(wj[l]))
        });
        d = c;
        c = each(|l| b[l].rotate_left(9));
        b = a;
        a = tt1;
        h = g;
        g = each(|l| f[l].rotate_left(19));
        f = e;
        e = tt2;
    }
    for (words, more) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        words.iter_mut().zip(more).for_each(|(word, more)| *word ^= more);
    }
}
