//! A topic as it lies in the broker's log: the files, read without Kafka.

use std::fs;
use std::path::Path;

/// Of the header that each batch has: base offset, length, leader epoch, magic, checksum,
/// attributes, last offset delta, two timestamps, producer's id, epoch and sequence, count.
const HEADER: usize = 61;
/// Base offset and length are not counted in a batch's own length.
const BEFORE_LENGTH_COUNTS: usize = 12;
const MAGIC: u8 = 2;

/// A batch, which a produce request has brought or the broker has written.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// The whole of it.
    pub bytes: u64,
    pub records: u64,
    /// 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    pub codec: u8,
    /// The end of a transaction.
    pub is_control: bool,
}

/// All batches of all partitions.
pub fn batches(data: &Path, topic: &str) -> Vec<Batch> {
    let mut found = Vec::new();
    for folder in fs::read_dir(data).unwrap() {
        let folder = folder.unwrap();
        let name = folder.file_name().into_string().unwrap();
        let partition = name
            .strip_prefix(topic)
            .and_then(|rest| rest.strip_prefix('-'));
        if partition.is_none_or(|number| number.parse::<u32>().is_err()) {
            continue;
        }
        for file in fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap().path();
            if file.extension().is_some_and(|extension| extension == "log") {
                read(&fs::read(file).unwrap(), &mut found);
            }
        }
    }
    found
}

fn read(mut log: &[u8], found: &mut Vec<Batch>) {
    while !log.is_empty() {
        let header: &[u8; HEADER] = log.first_chunk().unwrap();
        let number = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().unwrap());
        assert_eq!(header[16], MAGIC, "the format of a batch");
        let attributes = u16::from_be_bytes([header[21], header[22]]);
        let whole = BEFORE_LENGTH_COUNTS + number(8) as usize;
        found.push(Batch {
            bytes: whole as u64,
            records: u64::from(number(57)),
            codec: (attributes & 0b111) as u8,
            is_control: attributes & 0b10_0000 != 0,
        });
        log = &log[whole..];
    }
}
