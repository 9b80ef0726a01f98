//! `superstream top`: what the live clients of a service do, and what they save.

mod columns;
mod fetch;
mod page;
mod rows;
mod screen;
mod signals;
mod table;
mod watch;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use superstream_settings::{Endpoint, Reading, TokenSource};

use crate::arguments::Top;
use crate::settings;
use crate::text;
use fetch::{Failure, Service, Snapshot};

pub use columns::Column;
pub use rows::Tag;

const SHOWN: u8 = 0;
const FAILED: u8 = 1;
const USAGE: u8 = 2;

/// What is to be shown, and of whom.
pub struct View {
    pub host: String,
    pub tags: Vec<Tag>,
    /// Those that are not alive too.
    pub all: bool,
    pub sort: Column,
}

/// Does what the arguments say; the exit code.
pub fn top(options: &Top) -> u8 {
    let (endpoint, token) = match asked(options) {
        Ok(asked) => asked,
        Err(complaint) => {
            text::complain(&complaint);
            return USAGE;
        }
    };
    let view = View {
        host: endpoint.to_string(),
        tags: options.tags.clone(),
        all: options.all,
        sort: options.sort,
    };
    let mut service = Service::new(&endpoint, token, &view, options.json);
    // Whoever gives a wrong address or token is told at once; only what has worked is waited for.
    let first = match look(&mut service, &view) {
        Ok(snapshot) => snapshot,
        Err(failure) => {
            if options.json {
                text::print(&document(&view, Err(&failure)));
            }
            return give_up(&view, &failure);
        }
    };
    let interval = Duration::from_secs(options.interval);
    if options.json {
        let interval = (!options.once).then_some(interval);
        return print_documents(&mut service, &view, first, interval);
    }
    let room = screen::size();
    match room.filter(|_| !options.once) {
        Some(_) => match watch::watch(service, &view, first, interval) {
            watch::Ending::Wanted => SHOWN,
            watch::Ending::Failure(failure) => give_up(&view, &failure),
            watch::Ending::NoTerminal(error) => {
                text::complain(&format!("the terminal cannot be used: {error}; try --once"));
                FAILED
            }
        },
        None => print_table(&view, &first, room),
    }
}

/// Where the service is, and the token for it: by the options, or else by the environment.
fn asked(options: &Top) -> Result<(Endpoint, TokenSource), String> {
    let of_environment = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let (name, host) = match (&options.host, of_environment("SUPERSTREAM_HOST")) {
        (Some(host), _) => ("--host", host.clone()),
        (None, Some(host)) => ("SUPERSTREAM_HOST", host),
        (None, None) => {
            return Err("whose clients? Give --host URL, or set SUPERSTREAM_HOST".to_owned());
        }
    };
    let endpoint = match host.to_str() {
        Some(text) => Endpoint::parse(text),
        None => Err("is not UTF-8".to_owned()),
    };
    let endpoint = endpoint.map_err(|error| {
        format!("{name} {error}; write it as https://HOST:PORT or http://HOST:PORT")
    })?;
    let other = match endpoint {
        Endpoint::Http(_) => None,
        Endpoint::Nats(_) => Some("NATS"),
        Endpoint::Veltix(_) => Some("Veltix"),
    };
    if let Some(other) = other {
        return Err(format!(
            "{name} is an address of {other} ({endpoint}), and clients are shown over HTTP alone: give \
             the service's own address with --host https://HOST:PORT"
        ));
    }
    let token_file = match &options.token_file {
        Some(file) => Some(settings::check_token_file(file)?),
        None => {
            settings::check_environment()?;
            None
        }
    };
    let variable = |name: &str| match (name, &token_file) {
        ("SUPERSTREAM_HOST", _) => Some(OsString::from(endpoint.to_string())),
        ("SUPERSTREAM_TOKEN_FILE", Some(file)) => Some(file.clone().into()),
        ("SUPERSTREAM_TOKEN" | "SUPERSTREAM_TOKEN_FILE", None) => std::env::var_os(name),
        _ => None,
    };
    match superstream_settings::parse(variable) {
        Reading::On {
            settings,
            complaints,
        } => match complaints.into_iter().next() {
            Some(complaint) => Err(complaint),
            None => Ok((settings.endpoint, settings.token)),
        },
        Reading::Unusable { reason, .. } => Err(reason),
        Reading::Off => Err(format!("{name} is empty")),
    }
}

/// What the service says now, sorted.
fn look(service: &mut Service, view: &View) -> Result<Snapshot, Failure> {
    let mut snapshot = service.look()?;
    rows::sort(&mut snapshot.rows, view.sort);
    Ok(snapshot)
}

fn give_up(view: &View, failure: &Failure) -> u8 {
    text::complain(&format!("{} {}", view.host, in_words(failure)));
    FAILED
}

fn in_words(failure: &Failure) -> String {
    match failure {
        Failure::Refused(reason) | Failure::Away(reason) => reason.clone(),
    }
}

fn print_table(view: &View, snapshot: &Snapshot, room: Option<page::Room>) -> u8 {
    // Lines above may be scrolled back to; what is beyond the right margin is lost.
    let room = room.map(|room| page::Room {
        height: usize::MAX,
        ..room
    });
    let mut table = String::new();
    for line in page::lines(view, snapshot, None, room) {
        table.push_str(&line.text);
        table.push('\n');
    }
    match text::print(&table) {
        true => SHOWN,
        false => FAILED,
    }
}

/// One document on a line of its own, each time.
fn print_documents(
    service: &mut Service,
    view: &View,
    first: Snapshot,
    interval: Option<Duration>,
) -> u8 {
    let mut looked = Ok(first);
    loop {
        let printed = text::print(&document(view, looked.as_ref()));
        let interval = match (looked, interval) {
            (Err(failure @ Failure::Refused(_)), _) => return give_up(view, &failure),
            (_, Some(interval)) if printed => interval,
            _ if printed => return SHOWN,
            _ => return FAILED,
        };
        thread::sleep(interval);
        looked = look(service, view);
    }
}

fn document(view: &View, looked: Result<&Snapshot, &Failure>) -> String {
    let document = match looked {
        Ok(snapshot) => {
            let clients: Vec<&Value> = snapshot
                .rows
                .iter()
                .filter_map(|row| row.document.as_ref())
                .collect();
            json!({
                "at_ms": snapshot.at_ms,
                "host": view.host,
                "error": null,
                "totals": snapshot.totals,
                "clients": clients,
                "report_interval_ms": snapshot.report_interval_ms,
                "is_cut": snapshot.is_cut,
            })
        }
        Err(failure) => json!({
            "at_ms": null,
            "host": view.host,
            "error": in_words(failure),
            "totals": null,
            "clients": null,
            "report_interval_ms": null,
            "is_cut": null,
        }),
    };
    format!("{}\n", text::harmless(&document.to_string()))
}

/// Whether there may be colours: the wish of `NO_COLOR` is for no-color.org's reading of it.
fn may_be_coloured() -> bool {
    let wish = std::env::var_os("NO_COLOR").filter(|wish| !wish.is_empty());
    wish.is_none() && io::stdout().is_terminal()
}
