//! What of a registration is taken: it is shown in lists, and those have to end somewhere.

use superstream_protocol::RegisterClient;

use crate::rules;

/// Longest registration id, in characters.
const MAX_ID: usize = 128;
/// Longest tags, in characters: what the library sends at most.
const MAX_TAGS: usize = 16 * 1024;
/// Longest `client.id`, in characters.
const MAX_CLIENT_ID: usize = 1_024;
/// Longest path of a file, in characters.
const MAX_PATH: usize = 4_096;
/// Longest of all other texts, in characters: a host's name has 253.
const MAX_TEXT: usize = 256;
/// Most addresses of one host.
const MAX_ADDRESSES: usize = 256;

/// Whether a registration keeps to the limits; what to do where it does not.
pub fn check(message: &RegisterClient) -> Result<(), String> {
    if message.registration_id.as_deref() == Some("") {
        return Err(format!(
            "registration_id is empty: give 1 to {MAX_ID} characters, or leave it out"
        ));
    }
    let client_id = rules::client_id(&message.config);
    for (name, text, most) in [
        ("registration_id", text_of(&message.registration_id), MAX_ID),
        ("tags", &message.tags, MAX_TAGS),
        ("client.id", &client_id, MAX_CLIENT_ID),
        ("engine_file", text_of(&message.engine_file), MAX_PATH),
        ("language", &message.language, MAX_TEXT),
        ("version", &message.version, MAX_TEXT),
        ("client_ip", &message.client_ip, MAX_TEXT),
        ("client_host", &message.client_host, MAX_TEXT),
        ("engine_version", text_of(&message.engine_version), MAX_TEXT),
        (
            "client_software_name",
            text_of(&message.client_software_name),
            MAX_TEXT,
        ),
        (
            "client_software_version",
            text_of(&message.client_software_version),
            MAX_TEXT,
        ),
        (
            "nats_connection_id",
            text_of(&message.nats_connection_id),
            MAX_TEXT,
        ),
    ] {
        check_length(name, text, most)?;
    }
    for address in &message.addresses {
        check_length("an address", address, MAX_TEXT)?;
    }
    match message.addresses.len() {
        0..=MAX_ADDRESSES => Ok(()),
        count => Err(format!(
            "there are {count} addresses: send at most {MAX_ADDRESSES}"
        )),
    }
}

fn text_of(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

fn check_length(name: &str, text: &str, most: usize) -> Result<(), String> {
    match text.chars().count() {
        length if length > most => Err(format!(
            "{name} has {length} characters: send at most {most}"
        )),
        _ => Ok(()),
    }
}
