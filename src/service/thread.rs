//! The session's thread: it alone speaks to the service.

use std::sync::Arc;
use std::time::{Duration, Instant};

use superstream_protocol::ClientError;

use super::round;
use super::state::{
    Health, Message, Shared, State, Waiting, Work, next_work, pause_after, profile,
};
use super::troubles::Matter;
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

/// The thread's life. It ends with the process, or with a panic: the next creator starts
/// another thread then, with another transport.
pub(super) fn run(shared: &Shared, settings: &Settings) {
    boundary::catch(|| serve(shared, super::transport(settings)));
    lock(&shared.state).thread_runs = false;
    shared.news.notify_all();
}

fn serve(shared: &Shared, mut transport: Box<dyn Transport>) {
    loop {
        let waiting = match next_work(shared) {
            Work::Publish => {
                boundary::catch(|| (shared.publish)());
                continue;
            }
            Work::Report => match boundary::catch(|| round::report(shared, transport.as_mut())) {
                Some(None) => continue,
                Some(Some(news)) => {
                    debug!("{news}");
                    continue;
                }
                None => return,
            },
            Work::Send(waiting) => waiting,
        };
        let result = boundary::catch(|| send(shared, transport.as_mut(), &waiting.message));
        let mut state = lock(&shared.state);
        let news = settle(&mut state, waiting, result);
        state.has_news = true;
        drop(state);
        shared.news.notify_all();
        // Not under the lock: whoever reads the log may be slow.
        match news {
            Ok(None) => {}
            Ok(Some(news)) => debug!("{news}"),
            Err(Panicked) => return,
        }
    }
}

/// An error of our own: what it left of the transport is not used again.
struct Panicked;

/// Draws the conclusions from a message that was sent, or was not; something for the log.
fn settle(
    state: &mut State,
    mut waiting: Waiting,
    result: Option<Result<Spoke, Failure>>,
) -> Result<Option<String>, Panicked> {
    let Some(result) = result else {
        waiting.give_up("an error of our own");
        return Err(Panicked);
    };
    let failure = match result {
        Ok(spoke) => {
            if spoke == Spoke::Yes {
                state.health = Health::Up;
                state.troubles.takes(Matter::Messages);
                state.reached(waiting.message.client());
            }
            return Ok(None);
        }
        Err(failure) => failure,
    };
    let reason = failure.to_string();
    let is_refused = matches!(failure, Failure::Refused(_));
    let registers = matches!(waiting.message, Message::Register(_));
    if let Message::Register(client) = &waiting.message
        && is_refused
    {
        state.late.remove(&profile(client));
        state.health = Health::Up;
        state.members.let_rest(client);
    }
    if matches!(failure, Failure::Failed(_)) {
        waiting.tries += 1;
    }
    if is_refused {
        state.troubles.refuses(Matter::Messages, &reason);
        state.reached(waiting.message.client());
    } else {
        state.troubles.failed(&reason);
    }
    if is_refused || waiting.tries >= MAX_TRIES {
        waiting.give_up(&reason);
        return Ok(Some(format!("a message is given up: {reason}")));
    }
    // Only a registration tells whether the service is there for creators.
    let pause = if registers {
        state.failed(reason.clone())
    } else {
        pause_after(waiting.tries.max(1))
    };
    waiting.not_before = Instant::now() + pause;
    state.waiting.push_back(waiting);
    Ok(Some(format!("{reason}; next try in {pause:.1?}")))
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
    // The creator's time began before this thread's.
    let in_vain = std::mem::take(&mut state.gave_up);
    state.slow = in_vain || begin.elapsed() >= shared.response_timeout;
    if let Some(interval) = registered.report_interval_ms {
        state.members.report_every(interval);
    }
    client.answered(Ok(registered));
    state.members.has_name(client);
    if client.registration.dry_run {
        return Ok(());
    }
    // One that runs already registers again, and says once more what it runs with.
    if client.outcome().created {
        state.push(Message::Configure(Arc::clone(client)));
        state.advises(client, Some(&advice));
    }
    state.keep_late(client, advice);
    Ok(())
}
