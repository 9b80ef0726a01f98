//! The way in by `plugin.library.paths`.
//!
//! The engine shows a configuration when the application names the plugin, in the middle of its
//! settings: the kind of client is not known, nor what comes later. So only properties are set
//! that any client can have and that leave no trace in the engine's checks, and whatever the
//! application sets afterwards holds.
//!
//! No interceptor is added: in engines with the fault that [`crate::engine::hook`] tells of, the
//! application would pay for it in a creation that we are no part of.

use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Instant;

use superstream_protocol::ClientKind;

use crate::consult;
use crate::debug;
use crate::engine::Engine;
use crate::engine::applied::Applied;
use crate::engine::conf::Conf;
use crate::engine::ffi::rd_kafka_conf_s;
use crate::process::{self, Process};
use crate::report::record::Client;
use crate::service::session::Asked;
use crate::settings::{self, Settings};

/// Tunes a configuration as far as it is known.
///
/// # Safety
/// `pointer` is a configuration of `engine` that no other thread uses.
pub unsafe fn tune(engine: &'static Engine, pointer: NonNull<rd_kafka_conf_s>) {
    let Some(settings) = settings::read_and_tell() else {
        return;
    };
    // SAFETY: the caller's contract.
    let conf = unsafe { Conf::borrow(engine, pointer) };
    if conf.get("group.id").is_some_and(|group| !group.is_empty()) {
        debug!("a consumer is left alone: the plugin knows properties of producers only");
        return;
    }
    let process = process::current_or_start(&settings);
    let (client, asked) = ask(&settings, process, &conf);
    let is_answered = !matches!(asked, Asked::Nothing(_));
    let changes = consult::plan(&settings, &client, &conf, asked, true);
    let mut applied = Applied::default();
    consult::apply(&client, &conf, &changes, &mut applied);
    applied.forget_set(&conf);
    if is_answered {
        client.update(|outcome| {
            outcome.created = true;
            outcome.config = client.registration.config.clone();
        });
        process.session.created(&client);
    }
}

/// Asks for this process: the first configuration waits for an answer, the others take what is
/// there.
fn ask(settings: &Settings, process: &'static Process, conf: &Conf<'_>) -> (Arc<Client>, Asked) {
    let fresh = || {
        let client_id = conf.get("client.id").unwrap_or_default();
        let registration = consult::registration(settings, ClientKind::Producer, conf);
        Client::new(registration, ClientKind::Producer, client_id)
    };
    let (client, is_first) = process.of_plugin(fresh);
    let asked = if is_first {
        let deadline = Instant::now() + settings.response_timeout;
        process.session.ask(&client, deadline)
    } else {
        match client.answer() {
            Some(Ok(registered)) => Asked::Answered(registered.start.clone()),
            Some(Err(reason)) => Asked::Nothing(reason.clone()),
            None => Asked::Nothing("the service has not answered yet".to_owned()),
        }
    };
    (client, asked)
}
