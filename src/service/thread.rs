//! The session's thread: it alone speaks to the service.

use std::sync::Arc;
use std::time::{Duration, Instant};

use superstream_protocol::ClientError;

use super::line::pause_after;
use super::queue::{Message, Waiting};
use super::round;
use super::state::{Shared, State};
use super::troubles::Matter;
use super::work::{Work, next_work};
use super::{Failure, Transport};
use crate::boundary;
use crate::debug;
use crate::lock::lock;
use crate::report::record::Client;
use crate::settings::Settings;

/// Nobody waits so long, but a late answer is worth having.
const LATE_LIMIT: Duration = Duration::from_secs(10);
/// Tries for a message that the service answers, but cannot digest. It must not hold up the
/// others for ever.
const MAX_TRIES: u32 = 8;

/// The thread's life. It ends with the process.
pub(super) fn run(shared: &Shared, settings: &Settings) {
    let mut transport = boundary::catch(|| super::transport(settings));
    while let Some(reached_by) = &mut transport {
        let work = next_work(shared);
        let is_sound = match work {
            Work::Publish => {
                boundary::catch(|| (shared.publish)());
                true
            }
            Work::Report => report(shared, reached_by.as_mut()),
            Work::Send(waiting) => tell(shared, reached_by.as_mut(), waiting),
        };
        // What an error of our own left of the transport is not used again.
        if !is_sound {
            transport = boundary::catch(|| super::transport(settings));
        }
    }
    lock(&shared.state).thread_runs = false;
    shared.news.notify_all();
}

/// A round of reports. False where an error of our own broke it off.
fn report(shared: &Shared, transport: &mut dyn Transport) -> bool {
    let news = boundary::catch(|| round::report(shared, transport));
    match &news {
        Some(None) => {}
        Some(Some(news)) => debug!("{news}"),
        None => {
            lock(&shared.state).reports_wait();
        }
    }
    news.is_some()
}

/// Sends a message. False where an error of our own broke that off.
fn tell(shared: &Shared, transport: &mut dyn Transport, waiting: Waiting) -> bool {
    let result = boundary::catch(|| send(shared, transport, &waiting.message));
    let is_sound = result.is_some();
    let mut state = lock(&shared.state);
    let news = match result {
        Some(result) => settle(&mut state, waiting, result),
        None => {
            waiting.give_up("an error of our own");
            None
        }
    };
    state.has_news = true;
    drop(state);
    shared.news.notify_all();
    // Not under the lock: whoever reads the log may be slow.
    if let Some(news) = news {
        debug!("{news}");
    }
    is_sound
}

/// Draws the conclusions from a message that was sent, or was not; something for the log.
fn settle(
    state: &mut State,
    mut waiting: Waiting,
    result: Result<Spoke, Failure>,
) -> Option<String> {
    let failure = match result {
        Ok(Spoke::No) => return None,
        Ok(Spoke::Yes) => {
            state.troubles.takes(Matter::Messages);
            state.reached(waiting.message.client());
            return None;
        }
        Err(failure) => failure,
    };
    let reason = failure.to_string();
    let registers = matches!(waiting.message, Message::Register(_));
    let pause = match failure {
        Failure::Refused(_) => {
            if let Message::Register(client) = &waiting.message {
                state.late.forget(client);
                state.line.registered(false);
                state.members.let_rest(client);
            }
            state.troubles.refuses(Matter::Messages, &reason);
            state.reached(waiting.message.client());
            waiting.give_up(&reason);
            return Some(format!("a message is given up: {reason}"));
        }
        Failure::Failed(_) if waiting.tries + 1 >= MAX_TRIES => {
            state.troubles.failed(&reason);
            waiting.give_up(&reason);
            return Some(format!("a message is given up: {reason}"));
        }
        // One that the service cannot digest holds up no other, but a registration: creators have
        // nothing of a service that cannot take those.
        Failure::Failed(_) if !registers => {
            waiting.tries += 1;
            state.troubles.failed(&reason);
            let pause = pause_after(waiting.tries);
            waiting.not_before = Instant::now() + pause;
            pause
        }
        Failure::Failed(_) => {
            waiting.tries += 1;
            state.not_reached(&reason)
        }
        Failure::Unavailable(_) => state.not_reached(&reason),
    };
    if registers {
        state.line.goes_down(&reason);
    }
    state.queue.put_back(waiting);
    Some(format!("{reason}; next try in {pause:.1?}"))
}

/// Whether a message was exchanged with the service.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spoke {
    Yes,
    /// There was nothing to say, to a service that does not know the client.
    No,
}

fn send(
    shared: &Shared,
    transport: &mut dyn Transport,
    message: &Message,
) -> Result<Spoke, Failure> {
    let said = match message {
        Message::Register(client) => {
            return register(shared, transport, client).map(|()| Spoke::Yes);
        }
        Message::Configure(client) => client
            .config_update()
            .map(|update| transport.configure(&update)),
        Message::Error(client, error) => client.hash().map(|hash| {
            transport.error(&ClientError {
                client_hash: hash.to_owned(),
                error: error.clone(),
            })
        }),
        Message::Goodbye(client) => client.hash().map(|hash| transport.goodbye(&hash)),
    };
    match said {
        Some(result) => result.map(|()| Spoke::Yes),
        None => Ok(Spoke::No),
    }
}

fn register(
    shared: &Shared,
    transport: &mut dyn Transport,
    client: &Arc<Client>,
) -> Result<(), Failure> {
    let begin = Instant::now();
    let limit = LATE_LIMIT.max(shared.response_timeout);
    let registered = transport.register(&client.registration, limit)?;
    let advice = registered.start.clone();
    let mut state = lock(&shared.state);
    state
        .line
        .registered(begin.elapsed() >= shared.response_timeout);
    if let Some(interval) = registered.report_interval_ms {
        state.members.report_every(interval);
    }
    client.answered(Ok(registered));
    state.members.has_name(client);
    if client.registration.dry_run {
        return Ok(());
    }
    // One that runs already registers again, and says once more what it runs with.
    if client.is_created() {
        state.queue.push(Message::Configure(Arc::clone(client)));
        state.advises(client, Some(&advice));
    } else if state.line.is_slow() {
        state.late.keep(client, advice);
    } else {
        // One in time is the service's word from now on.
        state.late.forget(client);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
