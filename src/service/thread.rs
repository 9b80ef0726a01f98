//! The session's thread: it alone speaks to the service.

use std::sync::Arc;
use std::time::{Duration, Instant};

use superstream_protocol::{ClientError, Registered};

use super::heard;
use super::queue::{Message, Waiting};
use super::round;
use super::state::{Shared, State};
use super::troubles::Matter;
use super::work::{Work, next_work};
use super::{Failure, Registration, Said, Transport};
use crate::boundary;
use crate::debug;
use crate::lock::lock;
use crate::log;
use crate::report::record::Client;
use crate::settings::Settings;

/// Nobody waits so long, but a late answer is worth having.
const LATE_LIMIT: Duration = Duration::from_secs(10);
/// Tries for a message that the service answers, but cannot digest. It must not hold up the
/// others for ever.
const MAX_TRIES: u32 = 8;

/// After an error of our own.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);

/// The thread's life. It ends with the process.
pub(super) fn run(shared: &Shared, settings: &Settings) {
    while let Some(mut transport) = boundary::catch(|| super::transport(settings)) {
        while boundary::catch(|| turn(shared, transport.as_mut())).is_some() {}
        // An error of our own: what it left of the transport is not used again.
        lock(&shared.state).reports_broke_off();
        shared.news.notify_all();
        std::thread::sleep(PAUSE_AFTER_ERROR);
    }
    lock(&shared.state).thread_runs = false;
    shared.news.notify_all();
}

fn turn(shared: &Shared, transport: &mut dyn Transport) {
    let work = next_work(shared, transport.look_at(), transport.watch().as_ref());
    let news = match work {
        Work::Publish => {
            boundary::catch(|| (shared.publish)());
            None
        }
        Work::Report => round::report(shared, transport),
        Work::Send(waiting) => tell(shared, transport, waiting),
        Work::Look => heard::look(shared, transport),
        Work::Forget(clients) => {
            forget(transport, &clients);
            None
        }
    };
    // Not under the lock: whoever reads the log may be slow.
    let advised = lock(&shared.state).lines.take();
    log::lines(advised);
    if let Some(news) = news {
        debug!("{news}");
    }
}

/// The transport speaks no more for clients that are gone.
fn forget(transport: &mut dyn Transport, clients: &[Arc<Client>]) {
    for hash in clients.iter().filter_map(|client| client.hash()) {
        transport.forget(&hash);
    }
}

/// Sends a message; something for the log.
pub(super) fn tell(
    shared: &Shared,
    transport: &mut dyn Transport,
    waiting: Waiting,
) -> Option<String> {
    let result = send(shared, transport, &waiting.message);
    let mut state = lock(&shared.state);
    let news = settle(&mut state, waiting, result);
    state.has_news = true;
    drop(state);
    shared.news.notify_all();
    news
}

/// Draws the conclusions from a message that was sent, or was not; something for the log.
fn settle(
    state: &mut State,
    mut waiting: Waiting,
    result: Result<Spoke, Failure>,
) -> Option<String> {
    let failure = match result {
        Ok(Spoke::No) => return None,
        Ok(Spoke::Half) => {
            waiting.is_passed_on();
            state.reached(waiting.message.client());
            return None;
        }
        Ok(Spoke::Yes) => {
            state.troubles.takes(Matter::Messages);
            state.reached(waiting.message.client());
            return None;
        }
        Err(failure) => failure,
    };
    let reason = failure.to_string();
    waiting.bad_answers += u32::from(matches!(failure, Failure::Failed(_)));
    let is_refused = matches!(failure, Failure::Refused(_));
    if is_refused || waiting.bad_answers == MAX_TRIES || waiting.is_dry_run() {
        if let Message::Register(client) = &waiting.message {
            state.members.let_rest(client);
        }
        if is_refused {
            refused(state, &waiting.message, &reason);
        } else {
            state.queue.is_given_up(&waiting.message);
        }
        waiting.give_up(&reason);
        return Some(format!("a message is given up: {reason}"));
    }
    // A service that cannot digest one message may take the others; but creators have nothing of one
    // that does not register them. One that was tried before tells nothing new.
    if waiting.is_urgent() {
        state.line.goes_down(&reason);
    }
    let mut pause = waiting.backoff.failed();
    if waiting.is_first() || matches!(failure, Failure::Unavailable(_)) {
        pause = pause.max(state.line.failed(&reason));
        state.is_turn_of_reports = true;
    }
    state.troubles.failed(&reason);
    state.queue.put_back(waiting);
    Some(format!("{reason}; next try in {pause:.1?}"))
}

/// The service answers, and will not have this message.
fn refused(state: &mut State, message: &Message, reason: &str) {
    if let Message::Register(client) = message {
        state.late.forget(client);
        state.line.registered(false);
    }
    state.troubles.refuses(Matter::Messages, reason);
    state.reached(message.client());
}

/// Whether a message was exchanged with the service.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spoke {
    Yes,
    /// The service has the message, and is still to say what creators wait for.
    Half,
    /// There was nothing to say, to a service that does not know the client or has no word for it.
    No,
}

fn send(
    shared: &Shared,
    transport: &mut dyn Transport,
    message: &Message,
) -> Result<Spoke, Failure> {
    let said = match message {
        Message::Register(client) => {
            return register(shared, transport, client);
        }
        // It is told once the client has its word, or nobody waits for that.
        Message::Configure(client) if lock(&shared.state).starting.holds(client) => None,
        Message::Configure(client) => client
            .config_update()
            .map(|update| transport.configure(&update)),
        Message::Error(client, error) => client.hash().map(|hash| {
            transport.error(&ClientError {
                client_hash: hash.to_owned(),
                error: error.clone(),
            })
        }),
        Message::Goodbye(client) => client.hash().map(|hash| {
            let id = client.registration.registration_id.as_deref();
            transport.goodbye(&hash, id.unwrap_or_default())
        }),
    };
    match said {
        Some(Ok(Said::Yes)) => Ok(Spoke::Yes),
        Some(Ok(Said::Nothing)) | None => Ok(Spoke::No),
        Some(Err(failure)) => Err(failure),
    }
}

fn register(
    shared: &Shared,
    transport: &mut dyn Transport,
    client: &Arc<Client>,
) -> Result<Spoke, Failure> {
    let begin = Instant::now();
    let limit = LATE_LIMIT.max(shared.response_timeout);
    let registration = transport.register(&client.introduction(), limit)?;
    let mut state = lock(&shared.state);
    match registration {
        Registration::Answered(registered) => {
            let is_late = begin.elapsed() >= shared.response_timeout;
            state.registered(client, registered, is_late);
            Ok(Spoke::Yes)
        }
        Registration::Named(registered) => {
            state.named(client, registered, begin, limit);
            Ok(Spoke::Half)
        }
    }
}

impl State {
    /// The service has registered a client and given its advice, too late for its creator or not.
    pub(super) fn registered(
        &mut self,
        client: &Arc<Client>,
        mut registered: Registered,
        is_late: bool,
    ) {
        self.late.complete(client, &mut registered.start);
        let advice = registered.start.clone();
        let is_in_vain = self.line.registered(is_late);
        if let Some(interval) = registered.report_interval_ms {
            self.members.report_every(interval);
        }
        client.answered(Ok(registered));
        self.members.has_name(client);
        if client.registration.dry_run {
            return;
        }
        // One that runs already registers again, and says once more what it runs with.
        let is_created = client.is_created();
        if is_created {
            self.queue.push(Message::Configure(Arc::clone(client)));
            self.advises(client, Some(&advice));
        }
        if is_in_vain {
            self.late.keep(client, advice);
        } else if !is_created {
            // One in time is the service's word from now on.
            self.late.forget(client);
        }
    }

    /// The service has given a client its name, and is still to say whether it may start.
    fn named(
        &mut self,
        client: &Arc<Client>,
        registered: Registered,
        since: Instant,
        limit: Duration,
    ) {
        if !client.registration.dry_run {
            client.named(&registered.client_hash);
            self.members.has_name(client);
            // One that runs already says what it runs with, whether a word to start comes again or not.
            if client.answer().is_some() && client.is_created() {
                self.queue.push(Message::Configure(Arc::clone(client)));
            }
        }
        self.starting.push(client, registered, since, limit);
    }
}

#[cfg(test)]
mod tests;
