//! Which librdkafka an object holds: its version and features, read from the file without running
//! a line of it.

use std::collections::HashMap;
use std::fmt;

use memchr::memmem;

use super::elf::{Elf, Symbol, SymbolTable};

/// How much of a function and of a table is looked at.
const LONGEST_FUNCTION: usize = 32;
const LONGEST_TABLE: u64 = 0x400;
const LONGEST_TEXT: usize = 1024;

/// The beginning of what every librdkafka says of its property `builtin.features`, but for its
/// first letter: with it, this program would look like one.
const MARK: &[u8] = b"ndicates the builtin features for this build of librdkafka";

/// A version of librdkafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32);

impl Version {
    /// From what `rd_kafka_version()` returns: 0xMMmmrrxx.
    pub fn from_number(number: u32) -> Option<Self> {
        // There is no librdkafka before 0 nor, for long, after 9.
        (number >> 24 < 10 && number != 0).then_some(Self(number))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, revision, stage] = self.0.to_be_bytes();
        write!(formatter, "{major}.{minor}.{revision}")?;
        match stage {
            0xff => Ok(()),
            other => write!(formatter, "-pre{other}"),
        }
    }
}

/// Whether librdkafka's code is in the object, whatever its symbols say.
pub fn is_inside(content: &[u8]) -> bool {
    memmem::find_iter(content, MARK)
        .any(|at| at >= 2 && content[at - 1] == b'I' && content[at - 2] == 0)
}

/// The version, where the object still has the symbol: `rd_kafka_version` returns a constant.
pub fn version(elf: &Elf<'_>) -> Option<Version> {
    let of_table = |table| match elf.symbols(table, ["rd_kafka_version"]) {
        [Some(Symbol::Defined(address))] => Some(address),
        _ => None,
    };
    let address = of_table(SymbolTable::Dynamic).or_else(|| of_table(SymbolTable::Full))?;
    let code = elf.bytes_at(address, LONGEST_FUNCTION)?;
    Version::from_number(returned_constant(code)?)
}

#[cfg(target_arch = "x86_64")]
fn returned_constant(code: &[u8]) -> Option<u32> {
    x86_64_constant(code)
}

#[cfg(target_arch = "aarch64")]
fn returned_constant(code: &[u8]) -> Option<u32> {
    aarch64_constant(code)
}

/// `mov eax, constant`, before which there may be a landing pad and the making of a frame, and
/// after which nothing but the frame's end and `ret`.
#[cfg(any(target_arch = "x86_64", test))]
fn x86_64_constant(code: &[u8]) -> Option<u32> {
    const ENDBR64: &[u8] = &[0xf3, 0x0f, 0x1e, 0xfa];
    const PUSH_RBP: &[u8] = &[0x55];
    const MOV_RBP_RSP: [&[u8]; 2] = [&[0x48, 0x89, 0xe5], &[0x48, 0x8b, 0xec]];
    const POP_RBP: &[u8] = &[0x5d];
    const MOV_EAX: u8 = 0xb8;
    const RET: &[u8] = &[0xc3];
    const BND: &[u8] = &[0xf2];
    const REP: &[u8] = &[0xf3];

    let mut rest = after(after(code, ENDBR64), PUSH_RBP);
    for form in MOV_RBP_RSP {
        rest = after(rest, form);
    }
    let (MOV_EAX, [a, b, c, d, tail @ ..]) = rest.split_first().map(|(op, rest)| (*op, rest))?
    else {
        return None;
    };
    after(after(after(tail, POP_RBP), BND), REP)
        .starts_with(RET)
        .then(|| u32::from_le_bytes([*a, *b, *c, *d]))
}

#[cfg(any(target_arch = "x86_64", test))]
fn after<'code>(code: &'code [u8], optional: &[u8]) -> &'code [u8] {
    code.strip_prefix(optional).unwrap_or(code)
}

/// `movz` and `movk` into w0, before which there may be a landing pad, then `ret`.
#[cfg(any(target_arch = "aarch64", test))]
fn aarch64_constant(code: &[u8]) -> Option<u32> {
    const BTI_C: u32 = 0xd503_245f;
    const RET: u32 = 0xd65f_03c0;
    // The opcode, the register w0 and which half; sixteen bits of value are between them.
    const VALUE: u32 = 0x001f_ffe0;
    const MOVZ_LOW: u32 = 0x5280_0000;
    const MOVZ_HIGH: u32 = 0x52a0_0000;
    const MOVK_LOW: u32 = 0x7280_0000;
    const MOVK_HIGH: u32 = 0x72a0_0000;

    let mut constant = 0;
    for word in code.chunks_exact(4) {
        let word = u32::from_le_bytes(word.try_into().ok()?);
        let value = (word & VALUE) >> 5;
        match word & !VALUE {
            MOVZ_LOW => constant = value,
            MOVZ_HIGH => constant = value << 16,
            MOVK_LOW => constant = constant & 0xffff_0000 | value & 0xffff,
            MOVK_HIGH => constant = constant & 0xffff | value << 16,
            _ if word == BTI_C => {}
            _ if word == RET => return Some(constant),
            _ => return None,
        }
    }
    None
}

/// The default of `builtin.features`. librdkafka has no such text: its table of properties has
/// the name, and behind it a list of (bit, name of the feature, why it is not there).
pub fn features(elf: &Elf<'_>) -> Option<Vec<String>> {
    const PROPERTY: &[u8] = b"builtin.features";
    let pointers = elf.relative_pointers();
    let content = elf.content();
    memmem::find_iter(content, PROPERTY)
        .filter(|at| {
            *at > 0 && content[at - 1] == 0 && content.get(at + PROPERTY.len()) == Some(&0)
        })
        .filter_map(|at| elf.address_of(at as u64))
        .flat_map(|name| pointers_to(elf, &pointers, name))
        .map(|property| {
            Table {
                elf,
                pointers: &pointers,
            }
            .features_behind(property)
        })
        .find(|features| !features.is_empty())
}

/// Where pointers to an address are: filled in by the loader or, where the object has a fixed
/// place or packed relocations, in the file already.
fn pointers_to(elf: &Elf<'_>, pointers: &HashMap<u64, u64>, address: u64) -> Vec<u64> {
    let mut found: Vec<u64> = pointers
        .iter()
        .filter(|(_, target)| **target == address)
        .map(|(place, _)| *place)
        .collect();
    if found.is_empty() {
        let pointer = address.to_ne_bytes();
        for (base, data) in elf.tables() {
            let finder = memmem::Finder::new(&pointer);
            let places = finder
                .find_iter(data)
                .map(|at| base.saturating_add(at as u64));
            found.extend(places.filter(|place| place % 8 == 0));
        }
    }
    found
}

struct Table<'a, 'data> {
    elf: &'a Elf<'data>,
    pointers: &'a HashMap<u64, u64>,
}

impl<'data> Table<'_, 'data> {
    fn features_behind(&self, property: u64) -> Vec<String> {
        let mut features = Vec::new();
        for place in (property.saturating_add(8)..property.saturating_add(LONGEST_TABLE)).step_by(8)
        {
            if !self.is_bit(place) {
                continue;
            }
            let Some(name) = self.text(place.saturating_add(8)) else {
                continue;
            };
            if name.contains('.') {
                // The next property.
                break;
            }
            let is_name = |letter: char| {
                letter.is_ascii_lowercase() || letter == '_' || letter.is_ascii_digit()
            };
            let is_there = self.text(place.saturating_add(16)).is_none();
            if is_there && !name.is_empty() && name.chars().all(is_name) {
                features.push(name.to_owned());
            }
        }
        features
    }

    /// One of the bits that stand for features.
    fn is_bit(&self, place: u64) -> bool {
        let word = self.elf.word_at(place).unwrap_or(0);
        !self.pointers.contains_key(&place) && word.is_power_of_two() && word <= 1 << 24
    }

    fn text(&self, place: u64) -> Option<&'data str> {
        let target = match self.pointers.get(&place) {
            Some(target) => *target,
            None => self.elf.word_at(place).filter(|word| *word != 0)?,
        };
        self.elf.text_at(target, LONGEST_TEXT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_as_librdkafka_tells_them() {
        for (number, expected) in [
            (0x0200_02ff, "2.0.2"),
            (0x020c_01ff, "2.12.1"),
            (0x0210_0001, "2.16.0-pre1"),
        ] {
            assert_eq!(Version::from_number(number).unwrap().to_string(), expected);
        }
        assert_eq!(Version::from_number(0), None);
        assert_eq!(Version::from_number(0xf30f_1efa), None);
    }

    #[test]
    fn x86_64_code_that_returns_a_constant_is_understood() {
        for code in [
            &[0xb8, 0xff, 0x01, 0x0c, 0x02, 0xc3][..],
            &[
                0xf3, 0x0f, 0x1e, 0xfa, 0xb8, 0xff, 0x01, 0x0c, 0x02, 0xc3, 0x90,
            ],
            &[
                0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x48, 0x89, 0xe5, 0xb8, 0xff, 0x01, 0x0c, 0x02, 0x5d,
                0xc3,
            ],
        ] {
            assert_eq!(x86_64_constant(code), Some(0x020c_01ff), "{code:x?}");
        }
        for code in [
            &[][..],
            &[0xb8, 0xff, 0x01],
            &[0xb8, 0xff, 0x01, 0x0c, 0x02, 0x90],
            &[0x8b, 0x05, 0xff, 0x01, 0x0c, 0x02, 0xc3],
        ] {
            assert_eq!(x86_64_constant(code), None, "{code:x?}");
        }
    }

    #[test]
    fn aarch64_code_that_returns_a_constant_is_understood() {
        let code =
            |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|w| w.to_le_bytes()).collect() };
        // mov w0, #0x1ff; movk w0, #0x20c, lsl #16; ret
        let plain = [0x5280_3fe0, 0x72a0_4180, 0xd65f_03c0];
        assert_eq!(aarch64_constant(&code(&plain)), Some(0x020c_01ff));
        let with_pad = [0xd503_245f, 0x5280_3fe0, 0x72a0_4180, 0xd65f_03c0];
        assert_eq!(aarch64_constant(&code(&with_pad)), Some(0x020c_01ff));
        // ldr w0, [x0]; ret
        assert_eq!(aarch64_constant(&code(&[0xb940_0000, 0xd65f_03c0])), None);
        assert_eq!(aarch64_constant(&code(&[0x5280_3fe0])), None);
    }
}
