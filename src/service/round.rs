//! A round of reports.

use std::sync::Arc;

use serde::Serialize;
use superstream_protocol::{ReportTaken, Reports};

use super::line::Backoff;
use super::members::Draft;
use super::queue::Message;
use super::state::{Shared, State};
use super::troubles::Matter;
use super::{Failure, Transport};
use crate::lock::lock;

/// A request is no longer than this, if it has more than one report: services bound what they take.
const MAX_REQUEST_BYTES: usize = 512 * 1024;
/// And it has no more reports: their answers are bounded too.
const MAX_REPORTS: usize = 64;
/// After so many bad answers in a row the other reports need not be tried.
const MAX_BAD_ANSWERS: u32 = 3;
/// Advice beyond this is none: it is kept as long as its client.
const MAX_ADVICE_BYTES: usize = 16 * 1024;

/// Reports what is due; something for the log.
pub(super) fn report(shared: &Shared, transport: &mut dyn Transport) -> Option<String> {
    let drafts = drafts(shared);
    let mut state = lock(&shared.state);
    // Measuring took a while.
    if state.somebody_waits() {
        state.members.put_off();
        return None;
    }
    let failed_before = state.reports.failures();
    drop(state);
    let (mut trouble, mut is_taken) = (None, false);
    // Whether there is to be a pause.
    let mut has_failed = false;
    let mut bad_answers = 0;
    let requests = requests(named(shared, drafts), failed_before);
    for (place, request) in requests.into_iter().enumerate() {
        let is_probe = failed_before > 0 && place == 0;
        let answer = send(shared, transport, &request);
        let mut state = lock(&shared.state);
        if let Err(failure) = answer {
            trouble = Some(not_taken(&mut state, &request, &failure));
            bad_answers += 1;
            let is_hopeless = bad_answers == MAX_BAD_ANSWERS;
            let is_over = match failure {
                Failure::Unavailable(_) => true,
                Failure::Failed(_) => is_probe || is_hopeless,
                Failure::Refused(_) => is_hopeless,
            };
            has_failed |= is_over || matches!(failure, Failure::Failed(_));
            if is_over {
                break;
            }
        } else {
            (bad_answers, is_taken) = (0, true);
        }
        // Those that have just been found to need a name may wait for one request, and so may a word to
        // start that has come meanwhile.
        if state.somebody_waits() || state.starting.somebody_waits() {
            state.members.put_off();
            break;
        }
    }
    let mut state = lock(&shared.state);
    if has_failed {
        state.reports.failed();
        state.members.put_off();
    }
    if is_taken && trouble.is_none() {
        state.troubles.takes(Matter::Reports);
    }
    let mut gone = state.members.done();
    gone.extend(state.members.leaving());
    state.say_goodbye(gone);
    trouble
}

/// What there is to report. No creator waits while it is measured.
fn drafts(shared: &Shared) -> Vec<Draft> {
    let candidates = lock(&shared.state).members.candidates();
    let with_news = candidates
        .into_iter()
        .filter_map(|candidate| candidate.news().map(|measured| (candidate, measured)));
    with_news
        .filter_map(|(candidate, measured)| lock(&shared.state).members.draft(&candidate, measured))
        .collect()
}

/// Nothing is lost of reports that did not get through; something for the log.
fn not_taken(state: &mut State, request: &[Draft], failure: &Failure) -> String {
    let words = failure.to_string();
    match failure {
        Failure::Refused(reason) => {
            refused(state, request);
            state.troubles.refuses(Matter::Reports, reason);
            state.reached(None);
            state.has_news = true;
            return format!("reports are not taken: {reason}");
        }
        Failure::Failed(_) => {
            for draft in request {
                state.members.suspect(draft);
            }
            state.troubles.failed(&words);
        }
        Failure::Unavailable(_) => {
            state.not_reached(&words);
        }
    }
    format!("reports wait: {words}")
}

/// What is refused alone rests. Of several the service may have refused one: they are reported again,
/// each by itself.
fn refused(state: &mut State, request: &[Draft]) {
    if let [draft] = request {
        return state.members.refused(draft);
    }
    for draft in request {
        state.members.declined(draft);
    }
    state.members.put_off();
}

/// The reports of clients that the service knows. The others register first, and report then; and so
/// do those that wait for their word to start.
fn named(shared: &Shared, drafts: Vec<Draft>) -> Vec<Draft> {
    let mut named = Vec::new();
    for mut draft in drafts {
        match draft.client.hash() {
            Some(_) if lock(&shared.state).starting.holds(&draft.client) => {}
            Some(hash) => {
                draft.report.client_hash = hash;
                named.push(draft);
            }
            None => lock(&shared.state)
                .queue
                .push(Message::Register(draft.client)),
        }
    }
    named
}

/// As few requests as may be. What the service could not take before goes last, and alone. After
/// rounds that failed, one report alone goes first, to see whether the service is well.
fn requests(mut drafts: Vec<Draft>, failed_before: u32) -> Vec<Vec<Draft>> {
    drafts.sort_by_key(|draft| draft.is_suspect);
    let mut requests: Vec<Vec<Draft>> = Vec::new();
    if failed_before > 0 && !drafts.is_empty() {
        requests.push(vec![drafts.remove(probe(&drafts, failed_before))]);
    }
    let mut room = 0;
    for draft in drafts {
        let size = size_of(&draft.report);
        match requests.last_mut() {
            Some(last) if size <= room && last.len() < MAX_REPORTS && !draft.is_suspect => {
                room -= size;
                last.push(draft);
            }
            _ => {
                room = MAX_REQUEST_BYTES.saturating_sub(size);
                requests.push(vec![draft]);
            }
        }
    }
    requests
}

/// Which one. Of a report that was sent nobody knows whether it came, and its client is kept apart, so
/// one of those is sent again, each in its turn; but every other time a new one, where there is any,
/// for all of them may be reports that the service cannot take.
fn probe(drafts: &[Draft], failed_before: u32) -> usize {
    let wants_open = failed_before % 2 == 1;
    let all = || drafts.iter().enumerate();
    let wanted = all().filter(|(_, draft)| draft.was_open == wants_open);
    let wanted: Vec<usize> = match wanted.clone().count() {
        0 => all().map(|(place, _)| place).collect(),
        _ => wanted.map(|(place, _)| place).collect(),
    };
    let turn = failed_before as usize / 2;
    let place = turn.checked_rem(wanted.len());
    place
        .and_then(|place| wanted.get(place))
        .map_or(0, |place| *place)
}

fn size_of(message: &impl Serialize) -> usize {
    serde_json::to_vec(message).map_or(0, |text| text.len())
}

fn send(shared: &Shared, transport: &mut dyn Transport, drafts: &[Draft]) -> Result<(), Failure> {
    let mut state = lock(&shared.state);
    for draft in drafts {
        state.members.sent(draft);
    }
    drop(state);
    let reports = drafts.iter().map(|draft| draft.report.clone()).collect();
    let answer = transport.report(&Reports { reports })?;
    // Two clients may go by one name.
    let answers = |draft: &Draft, taken: &ReportTaken| {
        taken.client_hash == draft.report.client_hash
            && (taken.unknown || taken.sequence == draft.report.sequence)
    };
    let answered: Vec<_> = drafts
        .iter()
        .filter_map(|draft| {
            let mut all = answer.reports.iter();
            Some((draft, all.find(|taken| answers(draft, taken))?))
        })
        .collect();
    // What is not answered is reported again, and not at once.
    if answered.is_empty() {
        let reason = "its answer fits no report";
        return Err(Failure::Failed(reason.to_owned()));
    }
    let mut state = lock(&shared.state);
    state.reports = Backoff::default();
    state.reached(None);
    if let Some(interval) = answer.report_interval_ms {
        state.members.report_every(interval);
    }
    for (draft, taken) in answered {
        heed(&mut state, draft, taken);
    }
    Ok(())
}

fn heed(state: &mut State, draft: &Draft, taken: &ReportTaken) {
    let client = &draft.client;
    if taken.unknown && state.members.said_goodbye(client) {
        // It is gone for good: what its engine has counted since is not worth a registration.
        return state.members.taken(draft);
    }
    if taken.unknown {
        client.forget_name();
        state.members.unknown(draft);
        state.queue.push(Message::Register(Arc::clone(client)));
        return;
    }
    state.members.taken(draft);
    client.update(|outcome| outcome.baseline = taken.baseline);
    let advice = taken.advice.as_ref();
    let advice = advice.filter(|advice| size_of(advice) <= MAX_ADVICE_BYTES);
    // Without a word on it, what the client was registered with holds.
    if state.advises(client, advice.or(client.registered_advice().as_ref())) {
        let client_id = &client.client_id;
        let line = || format!("{client_id}: other advice applies at the next start");
        state.lines.say(line);
    }
}

#[cfg(test)]
mod tests;
