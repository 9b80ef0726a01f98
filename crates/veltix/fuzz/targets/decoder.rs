//! Any bytes, in any pieces: no panic, the same frames as in one piece, and no more memory than
//! arrived.
#![no_main]

use libfuzzer_sys::fuzz_target;
use superstream_veltix::CloseReason;
use superstream_veltix::frames::{Decoder, Frame, Wire};

const LIMIT: usize = 4096;

fn decode(wire: Wire, pieces: &[&[u8]]) -> (Vec<Frame>, Option<CloseReason>) {
    let mut decoder = Decoder::new(wire, LIMIT);
    let mut frames = Vec::new();
    let mut given = 0;
    for piece in pieces {
        let mut piece = *piece;
        given += piece.len();
        while !piece.is_empty() {
            match decoder.next(&mut piece) {
                Ok(Some(frame)) => {
                    // What is written is what was read.
                    let mut written = Vec::new();
                    wire.encode(
                        frame.message_type,
                        frame.id,
                        frame.timestamp_ms,
                        &frame.payload,
                        &mut written,
                    );
                    let again = Decoder::new(wire, LIMIT).next(&mut written.as_slice());
                    assert_eq!(again.as_ref(), Ok(&Some(frame.clone())));
                    frames.push(frame);
                }
                Ok(None) => assert!(piece.is_empty()),
                Err(reason) => return (frames, Some(reason)),
            }
            assert!(decoder.kept() <= given.min(LIMIT));
        }
    }
    (frames, None)
}

fuzz_target!(|data: &[u8]| {
    let Some((&[how, cut], bytes)) = data.split_first_chunk::<2>() else {
        return;
    };
    let wire = if how & 1 == 0 { Wire::V1 } else { Wire::V2 };
    let whole = decode(wire, &[bytes]);
    let size = usize::from(cut).max(1);
    let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
    assert_eq!(decode(wire, &pieces), whole);
});
