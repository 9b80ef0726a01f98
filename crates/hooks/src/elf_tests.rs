//! Files made byte by byte, whole and broken.

use super::*;

const WANTED: [&CStr; 2] = [c"rd_kafka_new", c"rd_kafka_topic_new"];

impl Source for Vec<u8> {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|from| self.get(from..))
            .unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        length
    }
}

/// A library with these dynamic symbols: the name, and the section that defines it.
fn library(symbols: &[(&str, u16)]) -> Vec<u8> {
    let mut strings = vec![0];
    let mut table = vec![0; SYMBOL as usize];
    for (name, section) in symbols {
        table.extend((strings.len() as u32).to_le_bytes());
        table.extend([0x12, 0]);
        table.extend(section.to_le_bytes());
        table.extend([0; 16]);
        strings.extend(name.bytes().chain([0]));
    }
    let table_at = 64;
    let strings_at = table_at + table.len();
    let sections_at = strings_at + strings.len();

    let mut file = vec![0; 64];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, MAGIC);
    put(16, &SHARED_OBJECT.to_le_bytes());
    put(18, &MACHINE.to_le_bytes());
    put(40, &(sections_at as u64).to_le_bytes());
    put(60, &3_u16.to_le_bytes());
    file.extend(&table);
    file.extend(&strings);
    file.extend([0; 64]);
    for (kind, at, size, link) in [
        (DYNAMIC_SYMBOLS, table_at, table.len(), 2_u32),
        (3, strings_at, strings.len(), 0),
    ] {
        let mut header = [0; 64];
        header[4..8].copy_from_slice(&kind.to_le_bytes());
        header[24..32].copy_from_slice(&(at as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(size as u64).to_le_bytes());
        header[40..44].copy_from_slice(&link.to_le_bytes());
        file.extend(header);
    }
    file
}

fn imports(file: &Vec<u8>) -> Option<bool> {
    search(file, &WANTED)
}

#[test]
fn an_import_is_a_symbol_that_no_section_defines() {
    assert_eq!(imports(&library(&[("rd_kafka_new", 0)])), Some(true));
    assert_eq!(
        imports(&library(&[("malloc", 0), ("rd_kafka_topic_new", 0)])),
        Some(true)
    );
    assert_eq!(imports(&library(&[("rd_kafka_new", 7)])), Some(false));
    assert_eq!(imports(&library(&[("rd_kafka_new2", 0)])), Some(false));
    assert_eq!(imports(&library(&[("xrd_kafka_new", 0)])), Some(false));
    assert_eq!(imports(&library(&[])), Some(false));
}

/// More symbols and names than are read at once.
#[test]
fn it_is_found_among_many() {
    let names: Vec<_> = (0..2000)
        .map(|number| format!("function_{number}"))
        .collect();
    let mut symbols: Vec<_> = names.iter().map(|name| (name.as_str(), 0)).collect();
    assert_eq!(imports(&library(&symbols)), Some(false));
    symbols.insert(1234, ("rd_kafka_new", 0));
    assert_eq!(imports(&library(&symbols)), Some(true));
}

/// A name at the very end of a file.
#[test]
fn a_name_may_be_the_last_thing() {
    let mut file = library(&[("rd_kafka_new", 0)]);
    let strings = file.len() as u64;
    file.extend(b"\0rd_kafka_new\0");
    let header = file.len() - 14 - 64;
    file[header + 24..header + 32].copy_from_slice(&strings.to_le_bytes());
    assert_eq!(imports(&file), Some(true));
    file.pop();
    assert_eq!(imports(&file), Some(false));
}

#[test]
fn what_is_no_library_of_this_machine_imports_nothing() {
    assert_eq!(imports(&Vec::new()), None);
    assert_eq!(imports(&b"#!/bin/sh\nrd_kafka_new\n".to_vec()), None);
    for (at, value) in [(0, 0), (4, 1), (5, 2), (16, 2), (18, 3)] {
        let mut file = library(&[("rd_kafka_new", 0)]);
        file[at] = value;
        assert_eq!(imports(&file), None, "byte {at} is {value}");
    }
}

/// Whatever a byte says, the search ends and stays inside the file.
#[test]
fn broken_files_are_survived() {
    let whole = library(&[("malloc", 0), ("rd_kafka_new", 0)]);
    // The last thing that is read is the place of the names, in the last header.
    for length in 0..whole.len() - 32 {
        let part = whole[..length].to_vec();
        assert_ne!(imports(&part), Some(true), "the first {length} bytes");
    }
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut file = whole.clone();
            file[at] = value;
            imports(&file);
        }
    }
    // A table that claims to be without end.
    let mut file = whole.clone();
    let size = file.len() - 128 + 32;
    file[size..size + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    imports(&file);
}
