//! `superstream status`: what running processes asked, got, changed and refused.

mod figures;
mod memfd;
mod table;

use std::fs;

use serde_json::{Value, json};

use crate::arguments::Status;
use crate::inspect::privilege::Caller;
use crate::report;
use crate::text;
use memfd::Trouble;

const SHOWN: u8 = 0;
const NOTHING: u8 = 1;

/// Does what the arguments say; the exit code.
pub fn status(options: &Status) -> u8 {
    match options.pid {
        Some(id) => one(id, options.json),
        None => all(options.json),
    }
}

fn one(id: u32, as_json: bool) -> u8 {
    match memfd::read(id) {
        Ok(document) => shown(&match as_json {
            true => report::pretty(&document),
            false => table::of(&document),
        }),
        Err(trouble) => {
            text::complain(&trouble.in_words(id));
            if as_json {
                text::print(&report::pretty(
                    &json!({ "pid": id, "error": trouble.in_words(id) }),
                ));
            }
            NOTHING
        }
    }
}

fn all(as_json: bool) -> u8 {
    let mut documents = Vec::new();
    for id in own_processes() {
        match memfd::read(id) {
            Ok(document) => documents.push(document),
            // Most processes are not on, and others end while we look.
            Err(Trouble::Off | Trouble::OfParent(_) | Trouble::NoAccess(_)) => {}
            Err(trouble) => text::complain(&trouble.in_words(id)),
        }
    }
    let is_empty = documents.is_empty();
    let printed = match as_json {
        true => shown(&report::pretty(&json!({ "processes": documents }))),
        false => {
            let tables: Vec<String> = documents.iter().map(table::of).collect();
            shown(&tables.join("\n"))
        }
    };
    if is_empty {
        text::complain("no process of this user has Superstream on");
        return NOTHING;
    }
    printed
}

fn shown(text: &str) -> u8 {
    match text::print(text) {
        true => SHOWN,
        false => NOTHING,
    }
}

/// The ids of this user's processes, in order.
fn own_processes() -> Vec<u32> {
    let own = Caller::own().user;
    let mut ids: Vec<u32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|id| memfd::user_of(*id) == Some(own))
        .collect();
    ids.sort_unstable();
    ids
}

/// A text of a document that others have written.
fn member<'a>(document: &'a Value, path: &str) -> &'a str {
    document
        .pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_default()
}
