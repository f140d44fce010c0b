//! Which records came before in this run, told from their keys in fixed memory.
//!
//! A table of bits with two of them a key never forgets one, and takes one in a few hundred for known at a million of them:
//! good enough to tell a page of new records from a page of old ones.

/// Bits in the table: 4 MiB.
const BITS: usize = 1 << 25;
/// Bits in a line of memory.
const LINE_BITS: usize = 512;

/// The keys of a run, page by page.
#[derive(Debug, Default)]
pub struct Novelty {
    /// Made when the first key comes.
    bits: Vec<u64>,
    is_new: bool,
}

impl Novelty {
    /// Forgets every key.
    pub fn forgets(&mut self) {
        self.bits = Vec::new();
    }

    /// A page begins.
    pub fn page_begins(&mut self) {
        self.is_new = false;
    }

    /// A record of this key is on the page. True: none was before; rarely false all the same.
    pub fn saw(&mut self, key: &[u8]) -> bool {
        if self.bits.is_empty() {
            // Zeroed by the allocator: a run of few records touches little of it.
            self.bits = vec![0; BITS / 64];
        }
        let mut is_new = false;
        for (word, bit) in places(key) {
            is_new |= self.bits[word] & bit == 0;
            self.bits[word] |= bit;
        }
        self.is_new |= is_new;
        is_new
    }

    /// Whether a record of this key came before; rarely yes where it did not.
    pub fn knows(&self, key: &[u8]) -> bool {
        let has = |(word, bit): (usize, u64)| self.bits.get(word).is_some_and(|w| w & bit != 0);
        places(key).into_iter().all(has)
    }

    /// Whether the page had a key that had not come before.
    pub fn is_new(&self) -> bool {
        self.is_new
    }
}

/// The two bits of a key. They stand near each other: what takes time is to fetch the line of memory that they are in.
fn places(key: &[u8]) -> [(usize, u64); 2] {
    let hash = hash(key);
    let bits = |shift: u32, many: usize| {
        usize::try_from((hash >> shift) & 0xFFFF_FFFF).unwrap_or_default() % many
    };
    let line = bits(32, BITS / LINE_BITS) * LINE_BITS;
    [bits(0, LINE_BITS), bits(16, LINE_BITS)].map(|within| {
        let at = line + within;
        (at / 64, 1 << (at % 64))
    })
}

/// Eight bytes at a time, since a page, or a record without a key, is hashed whole. A source that makes two keys collide harms its own run.
pub fn hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let mut hash = bytes.len() as u64;
    for word in words {
        hash = joined(hash, *word);
    }
    mix(joined(hash, last))
}

fn joined(hash: u64, word: [u8; 8]) -> u64 {
    mix(hash.rotate_left(23) ^ u64::from_le_bytes(word))
}

fn mix(word: u64) -> u64 {
    let word = word.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    word ^ (word >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_new_when_one_of_its_keys_is() {
        let mut novelty = Novelty::default();
        let mut page = |keys: &[&str]| {
            novelty.page_begins();
            for key in keys {
                novelty.saw(key.as_bytes());
            }
            novelty.is_new()
        };

        assert!(page(&["1", "2"]));
        assert!(!page(&["2", "1"]));
        assert!(page(&["2", "3"]));
        assert!(!page(&[]));
    }

    #[test]
    fn of_a_million_keys_all_are_known_and_few_others() {
        let mut novelty = Novelty::default();
        for id in 0..1_000_000 {
            novelty.saw(format!("{id}").as_bytes());
        }

        assert!((0..1_000_000).all(|id| novelty.knows(format!("{id}").as_bytes())));
        let taken_for_known = (1_000_000..1_100_000)
            .filter(|id| novelty.knows(format!("{id}").as_bytes()))
            .count();
        assert!(taken_for_known < 1000, "{taken_for_known} of 100,000");
    }
}
