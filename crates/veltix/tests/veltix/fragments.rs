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

/// Gives the bytes to the decoder in pieces.
fn decode(wire: Wire, bytes: &[u8], cuts: &[usize]) -> (Vec<Frame>, Result<(), CloseReason>) {
    let mut decoder = Decoder::new(wire, 50_000);
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
    fn a_broken_stream_breaks_at_the_same_place(
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
        prop_assert_eq!(decode(wire, &bytes, &cuts), decode(wire, &bytes, &[]));
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
