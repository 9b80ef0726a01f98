//! What of a registration is taken. What names a client, or what rules look at, is taken whole or
//! not at all; what is only shown is cut, because no limit of ours is one of librdkafka's.

use superstream_protocol::RegisterClient;

use crate::rules;

/// Longest registration id, in characters.
const MAX_ID: usize = 128;
/// Longest tags, in characters: what the library sends at most.
const MAX_TAGS: usize = 16 * 1024;
/// Longest `client.id`, in characters. librdkafka has no limit; the protocol of Kafka has no longer
/// texts.
const MAX_CLIENT_ID: usize = 32_767;
/// What is kept of the path of a file, in characters.
const MAX_PATH: usize = 4_096;
/// Longest of all other texts, and what is kept of them, in characters: a host's name has 253.
pub const MAX_TEXT: usize = 256;
/// Addresses of one host that are kept.
const MAX_ADDRESSES: usize = 256;
/// What lists show of a `client.id`, in characters: they have to end somewhere.
pub const MAX_SHOWN_CLIENT_ID: usize = 1_024;

/// Whether a registration keeps to the limits; what to do where it does not.
pub fn check(message: &RegisterClient) -> Result<(), String> {
    let id = message.registration_id.as_deref();
    if id == Some("") {
        return Err(format!(
            "registration_id is empty: give 1 to {MAX_ID} characters, or leave it out"
        ));
    }
    let client_id = rules::client_id(&message.config);
    for (name, text, most) in [
        ("registration_id", id.unwrap_or_default(), MAX_ID),
        ("tags", &message.tags, MAX_TAGS),
        ("client.id", &client_id, MAX_CLIENT_ID),
        ("language", &message.language, MAX_TEXT),
        ("client_host", &message.client_host, MAX_TEXT),
    ] {
        check_length(name, text, most)?;
    }
    Ok(())
}

fn check_length(name: &str, text: &str, most: usize) -> Result<(), String> {
    match text.chars().count() {
        length if length > most => Err(format!(
            "{name} has {length} characters: send at most {most}"
        )),
        _ => Ok(()),
    }
}

/// Cuts what [`check`] would refuse, of a client that would never ask again: a deployed SDK takes any
/// error for an answer. To be masked before, as with [`cut`]; only its name is left alone, which it is
/// known by.
pub fn cut_quiet(message: &mut RegisterClient) {
    cut_to(&mut message.tags, MAX_TAGS);
    cut_to(&mut message.language, MAX_TEXT);
    cut_to(&mut message.client_host, MAX_TEXT);
}

/// Cuts what is only shown. It must be masked before: half a secret is not known for one.
pub fn cut(message: &mut RegisterClient) {
    message.addresses.truncate(MAX_ADDRESSES);
    for text in [&mut message.version, &mut message.client_ip]
        .into_iter()
        .chain(&mut message.addresses)
        .chain(&mut message.engine_version)
        .chain(&mut message.client_software_name)
        .chain(&mut message.client_software_version)
        .chain(&mut message.nats_connection_id)
    {
        cut_to(text, MAX_TEXT);
    }
    if let Some(file) = &mut message.engine_file {
        cut_to(file, MAX_PATH);
    }
}

/// Leaves a text so many characters.
pub fn cut_to(text: &mut String, most: usize) {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
    }
}
