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

use superstream_protocol::{ClientKind, Configuration, Mode};

use crate::consult;
use crate::debug;
use crate::engine::Engine;
use crate::engine::applied::{self, Applied};
use crate::engine::conf::Conf;
use crate::engine::ffi::rd_kafka_conf_s;
use crate::process::{self, Process};
use crate::report::record::Client;
use crate::service::session::Asked;
use crate::settings::{self, Reading, Settings};
use crate::tuning::{self, Situation};

/// Tunes a configuration as far as it is known.
///
/// # Safety
/// `pointer` is a configuration of `engine` that no other thread uses.
pub unsafe fn tune(engine: &'static Engine, pointer: NonNull<rd_kafka_conf_s>) {
    let settings = match settings::read() {
        Reading::Off => return,
        Reading::Unusable { reason, .. } => {
            debug!("{reason}");
            return;
        }
        Reading::On {
            settings,
            complaints,
        } => {
            for complaint in complaints {
                debug!("{complaint}");
            }
            settings
        }
    };
    // SAFETY: the caller's contract.
    let conf = unsafe { Conf::borrow(engine, pointer) };
    if conf.get("group.id").is_some_and(|group| !group.is_empty()) {
        debug!("a consumer is left alone: the plugin knows properties of producers only");
        return;
    }
    let process = process::current_or_start(&settings);
    let Some((client, advice, mode)) = advice(&settings, process, engine, &conf) else {
        return;
    };
    let effective = consult::effective(&conf);
    let situation = Situation {
        kind: ClientKind::Producer,
        effective: &effective,
        latency_sensitive: settings.latency_sensitive,
    };
    let plan = tuning::plan_without_client(&situation, &advice);
    let mut refusals = plan.refusals;
    let mut changes = plan.changes;
    // A consumer would warn of a producer's property that counts as set.
    for change in changes.clone() {
        if !applied::leaves_no_trace(engine, &change.key) {
            let reason = "librdkafka does not let it be set without a trace".to_owned();
            consult::not_applied(&mut changes, &mut refusals, &change, reason);
        }
    }
    if mode == Mode::Active {
        let mut applied = Applied::default();
        for (change, reason) in applied.set_all(&conf, &changes.clone()) {
            debug!("{} is not applied: {reason}", change.key);
            consult::not_applied(&mut changes, &mut refusals, change, reason);
        }
        applied.forget_set(&conf);
    }
    client.update(|outcome| {
        outcome.created = true;
        outcome.changes = changes;
        outcome.refusals = refusals;
        outcome.config = client.registration.config.clone();
    });
    process.session.created(&client);
}

/// The advice for this process: the first configuration asks and waits, the others take what is
/// there.
fn advice(
    settings: &Settings,
    process: &'static Process,
    engine: &'static Engine,
    conf: &Conf<'_>,
) -> Option<(Arc<Client>, Configuration, Mode)> {
    let fresh = || {
        let client_id = conf.get("client.id").unwrap_or_default();
        let registration = consult::registration(settings, engine, ClientKind::Producer, conf);
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
    let start = match asked {
        Asked::Answered(start) | Asked::Late(start) => start,
        Asked::Nothing(reason) => {
            debug!("a configuration stays as it is: {reason}");
            client.update(|outcome| outcome.note = reason);
            return None;
        }
    };
    let mode = match settings.observe {
        true => Mode::Observe,
        false => start.mode,
    };
    client.update(|outcome| {
        outcome.advice = Some(start.clone());
        outcome.note = start.error.clone().unwrap_or_default();
        outcome.mode = mode;
    });
    let configuration = start.optimized_configuration.filter(|_| start.start)?;
    Some((client, configuration, mode))
}
