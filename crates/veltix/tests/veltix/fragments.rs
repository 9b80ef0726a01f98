//! However the stream is split, it says the same.

use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;
use superstream_veltix::frames::{Decoder, Frame, Wire};
use superstream_veltix::session::{Event, Options, Role, Session};
use superstream_veltix::{CloseReason, MessageType, Request, RequestId};

fn wires() -> impl Strategy<Value = Wire> {
    prop_oneof![Just(Wire::V1), Just(Wire::V2)]
}

fn messages() -> impl Strategy<Value = Vec<(u16, u16, Vec<u8>)>> {
    let payload = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..80),
        proptest::collection::vec(any::<u8>(), 20_000..40_000),
    ];
    proptest::collection::vec((any::<u16>(), any::<u16>(), payload), 0..8)
}

fn encode(wire: Wire, messages: &[(u16, u16, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (code, id, payload) in messages {
        let id = RequestId((*id).into());
        wire.encode(MessageType::of(*code), id, 5, payload, &mut bytes);
    }
    bytes
}

const LIMIT: usize = 50_000;

/// Bit by bit, as the standard has it: not by what the endpoint uses.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// What a stream says, by the protocol's tables, as far as it goes.
fn understood(wire: Wire, mut bytes: &[u8]) -> (Vec<Frame>, Result<(), CloseReason>) {
    let mut frames = Vec::new();
    let size = match wire {
        Wire::V1 => 22,
        Wire::V2 => 15,
    };
    while bytes.len() >= size {
        let head = &bytes[..size];
        let (code, length, sum, stamp, id) = match wire {
            Wire::V1 => (
                &head[..2],
                &head[2..6],
                &head[6..10],
                &head[10..18],
                &head[18..],
            ),
            Wire::V2 => (
                &head[3..5],
                &head[5..9],
                &head[9..13],
                &head[..0],
                &head[13..],
            ),
        };
        if wire == Wire::V2 && !head.starts_with(b"VX") {
            return (frames, Err(CloseReason::BadMagic));
        }
        let message_type = MessageType::of(number(code) as u16);
        let whole = size as u64 + number(length);
        if whole > LIMIT as u64 {
            let reason = CloseReason::TooLarge {
                size: whole,
                limit: LIMIT,
            };
            return (frames, Err(reason));
        }
        let Some(payload) = bytes.get(size..whole as usize) else {
            break;
        };
        if u64::from(crc(payload)) != number(sum) {
            return (frames, Err(CloseReason::BadChecksum { message_type }));
        }
        frames.push(Frame {
            message_type,
            id: RequestId(number(id) as u32),
            timestamp_ms: number(stamp),
            crc: crc(payload),
            payload: payload.to_vec(),
        });
        bytes = &bytes[whole as usize..];
    }
    (frames, Ok(()))
}

/// Gives the bytes to the decoder in pieces.
fn decode(wire: Wire, bytes: &[u8], cuts: &[usize]) -> (Vec<Frame>, Result<(), CloseReason>) {
    let mut decoder = Decoder::new(wire, LIMIT);
    let mut frames = Vec::new();
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.push(bytes.len());
    cuts.sort_unstable();
    let mut from = 0;
    for cut in cuts {
        let mut piece = &bytes[from..cut];
        from = cut;
        while !piece.is_empty() {
            match decoder.next(&mut piece) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => assert!(piece.is_empty()),
                Err(reason) => return (frames, Err(reason)),
            }
        }
    }
    (frames, Ok(()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn frames_come_out_as_they_went_in(
        wire in wires(),
        messages in messages(),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let (frames, result) = decode(wire, &encode(wire, &messages), &cuts);
        prop_assert_eq!(result, Ok(()));
        let out: Vec<_> = frames
            .into_iter()
            .map(|frame| (frame.message_type.code(), frame.id.0 as u16, frame.payload))
            .collect();
        prop_assert_eq!(out, messages);
    }

    #[test]
    fn a_broken_stream_breaks_where_the_protocol_says(
        wire in wires(),
        messages in messages(),
        at in any::<usize>(),
        flip in 1..=255_u8,
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let mut bytes = encode(wire, &messages);
        if !bytes.is_empty() {
            let at = at % bytes.len();
            bytes[at] ^= flip;
        }
        prop_assert_eq!(decode(wire, &bytes, &cuts), understood(wire, &bytes));
    }

    /// What is buffered costs nothing before its turn, so that all of it takes as long as it is.
    #[test]
    fn each_step_takes_one_frame_and_neither_keeps_nor_moves_what_is_behind_it(
        wire in wires(),
        messages in messages(),
        cut in any::<usize>(),
    ) {
        let bytes = encode(wire, &messages);
        let cut = cut % (bytes.len() + 1);
        let mut decoder = Decoder::new(wire, LIMIT);
        // Where frames end.
        let mut ends = messages.iter().scan(0, |end, (.., payload)| {
            *end += wire.header_size() + payload.len();
            Some(*end)
        });
        let (mut from, mut end) = (0, ends.next());
        for piece in [&bytes[..cut], &bytes[cut..]] {
            let until = from + piece.len();
            let mut input = piece;
            let mut begun = decoder.kept();
            while let Some(reached) = end.filter(|end| *end <= until) {
                prop_assert!(decoder.next(&mut input).unwrap().is_some());
                // The rest lies where it lay.
                prop_assert_eq!(input, &bytes[reached..until]);
                prop_assert_eq!(input.as_ptr(), bytes[reached..].as_ptr());
                prop_assert_eq!(decoder.kept(), 0);
                (begun, from, end) = (0, reached, ends.next());
            }
            prop_assert_eq!(decoder.next(&mut input), Ok(None));
            prop_assert!(input.is_empty());
            prop_assert_eq!(decoder.kept(), begun + until - from);
            from = until;
        }
    }

    #[test]
    fn two_sessions_understand_each_other_in_any_pieces(
        wire in wires(),
        negotiated in any::<bool>(),
        contents in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..6),
        sizes in proptest::collection::vec(1..50_usize, 1..10),
    ) {
        let now = Instant::now();
        let options = |wire| Arc::new(Options { wire, ..Options::default() });
        let mut server = Session::<u32>::new(Role::Server, &options(Some(wire)), now);
        let client_wire = (!negotiated).then_some(wire);
        let mut client = Session::<u32>::new(Role::Client, &options(client_wire), now);
        let mut sizes = sizes.into_iter().cycle();
        let (mut heard, mut answered) = (Vec::new(), Vec::new());
        for round in 0..=contents.len() {
            loop {
                let to_client = carry(&mut server, &mut client, &mut sizes, now);
                let to_server = carry(&mut client, &mut server, &mut sizes, now);
                if to_client.is_none() && to_server.is_none() {
                    break;
                }
                for event in to_server.into_iter().flatten() {
                    if let Event::Message(message) = event {
                        server
                            .send(&Request::reply_to(&message, MessageType::of(300), &b"yes"[..]))
                            .unwrap();
                        heard.push(message.content);
                    }
                }
                for event in to_client.into_iter().flatten() {
                    if let Event::Reply(number, _) = event {
                        answered.push(number);
                    }
                }
            }
            prop_assert!(client.is_ready() && server.is_ready());
            prop_assert_eq!(client.wire(), wire);
            if let Some(content) = contents.get(round) {
                let request = Request::new(MessageType::of(200), content.clone());
                client.ask(&request, round as u32, None).unwrap();
            }
        }
        prop_assert_eq!(answered, (0..contents.len() as u32).collect::<Vec<_>>());
        prop_assert_eq!(heard, contents);
    }
}

/// Brings what waits from one to the other, in pieces.
fn carry(
    from: &mut Session<u32>,
    to: &mut Session<u32>,
    sizes: &mut impl Iterator<Item = usize>,
    now: Instant,
) -> Option<Vec<Event<u32>>> {
    let mut chunk = from.take_chunk()?;
    let mut events = Vec::new();
    let mut written = 0;
    while !chunk.remaining().is_empty() {
        let size = sizes.next().unwrap().min(chunk.remaining().len());
        to.receive(&chunk.remaining()[..size], now, &mut events)
            .unwrap();
        chunk.advance(size);
        written += size;
    }
    from.give_back(chunk, written, now);
    Some(events)
}
