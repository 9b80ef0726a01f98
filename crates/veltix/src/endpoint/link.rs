//! A connection as the endpoint's thread and those who send share it.

mod writing;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use super::guarded::Guarded;
use super::shared::{Command, Shared};
use super::{PerformanceMode, lock};
use crate::error::{CloseReason, Error};
use crate::frames::Wire;
use crate::message::{Request, RequestId, Response};
use crate::session::Session;

/// Messages that follow each other faster than this are many.
const MANY: Duration = Duration::from_micros(50);

/// So long `High` looks for what comes without a pause: more than a round trip takes, and less than
/// anybody notices. The thread that sleeps has to be woken, which takes longer than all the rest.
pub(in crate::endpoint) const ATTENTION: Duration = Duration::from_micros(50);

/// How late the endpoint's thread may be on a busy machine.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// Who waits for a reply.
pub(crate) enum Waiter {
    Thread(Arc<Slot>),
    Callback(Box<dyn FnOnce(Result<Response, Error>) + Send>),
}

/// Where a thread waits for its reply.
#[derive(Default)]
pub(crate) struct Slot {
    result: Mutex<Option<Result<Response, Error>>>,
    ready: Condvar,
    is_filled: AtomicBool,
}

impl Slot {
    pub(crate) fn fill(&self, result: Result<Response, Error>) {
        lock(&self.result).get_or_insert(result);
        self.is_filled.store(true, Ordering::Release);
        self.ready.notify_all();
    }

    /// Looks for the reply without a pause.
    fn look_out(&self, limit: Duration) {
        let until = Instant::now() + limit;
        while !self.is_filled.load(Ordering::Acquire) && Instant::now() < until {
            std::hint::spin_loop();
        }
    }

    fn wait(&self, timeout: Duration) -> Option<Result<Response, Error>> {
        let guard = lock(&self.result);
        self.ready
            .wait_timeout_while(guard, timeout, |result| result.is_none())
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .0
            .take()
    }
}

pub(crate) struct Link {
    pub(crate) token: usize,
    shared: Arc<Shared>,
    mode: PerformanceMode,
    state: Mutex<LinkState>,
    changed: Condvar,
}

pub(crate) struct LinkState {
    pub(crate) session: Session<Waiter>,
    /// Where any thread may write; not with TLS, and not once it is closed.
    socket: Option<Arc<TcpStream>>,
    /// Somebody has a chunk in hand.
    writing: bool,
    /// The socket became writable meanwhile.
    again: bool,
    /// The endpoint's thread knows that something waits.
    dirty: bool,
    waits_for_room: bool,
    /// When a sender last wrote by itself.
    written_here: Option<Instant>,
    /// Given to TLS, which may still hold it.
    pub(crate) encrypted: usize,
    /// All is written and the peer was told the end, or it is cut.
    ended: bool,
}

impl LinkState {
    /// Whether the message is none of many.
    fn is_alone(&mut self) -> bool {
        let now = Instant::now();
        let alone = self
            .written_here
            .is_none_or(|last| now.saturating_duration_since(last) > MANY);
        if alone {
            self.written_here = Some(now);
        }
        alone
    }
}

impl Link {
    pub(crate) fn new(
        token: usize,
        shared: &Arc<Shared>,
        mode: PerformanceMode,
        session: Session<Waiter>,
        socket: Option<Arc<TcpStream>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            token,
            shared: Arc::clone(shared),
            mode,
            state: Mutex::new(LinkState {
                session,
                socket,
                writing: false,
                again: false,
                dirty: false,
                waits_for_room: false,
                written_here: None,
                encrypted: 0,
                ended: false,
            }),
            changed: Condvar::new(),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, LinkState> {
        lock(&self.state)
    }

    /// Whether more is looked for without a pause.
    pub(crate) fn is_attentive(&self) -> bool {
        self.mode == PerformanceMode::High
    }

    pub(crate) fn wire(&self) -> Wire {
        self.state().session.wire()
    }

    pub(crate) fn send(&self, request: &Request) -> Result<RequestId, Error> {
        let mut state = self.state();
        let id = state.session.send(request)?;
        let here = match self.mode {
            PerformanceMode::Low => false,
            PerformanceMode::High => true,
            // A thread that is at work takes this along with what else there is. One that sleeps is
            // woken by the second of many, and takes the rest together.
            PerformanceMode::Balanced | PerformanceMode::Auto => {
                self.shared.is_asleep() && state.is_alone()
            }
        };
        self.bring_out(state, here)?;
        Ok(id)
    }

    /// Waits for room, where the peer is slow.
    pub(crate) fn send_within(
        &self,
        request: &Request,
        timeout: Duration,
    ) -> Result<RequestId, Error> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            match self.send(request) {
                Err(Error::Stalled) => {}
                result => return result,
            }
            let left = deadline.map_or(Duration::from_secs(3600), |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                return Err(Error::Stalled);
            }
            let mut state = self.state();
            state.waits_for_room = true;
            // Woken at each step; a step that was missed costs no more than this.
            let _ = self
                .changed
                .wait_timeout(state, left.min(Duration::from_millis(50)));
        }
    }

    /// A frame that was encoded once for many.
    pub(crate) fn send_encoded(
        &self,
        frame: &[u8],
        wire: Wire,
        id: RequestId,
    ) -> Result<(), Error> {
        let mut state = self.state();
        state.session.send_encoded(frame, wire, id)?;
        self.bring_out(state, false)
    }

    pub(crate) fn send_and_wait(
        &self,
        request: &Request,
        timeout: Duration,
    ) -> Result<Response, Error> {
        self.wait_for(timeout, |session, waiter| {
            session.ask(request, waiter, None)
        })
    }

    pub(crate) fn ping(&self, timeout: Duration) -> Result<Duration, Error> {
        let start = Instant::now();
        self.wait_for(timeout, |session, waiter| session.ping(waiter, None))?;
        Ok(start.elapsed())
    }

    pub(crate) fn ping_then(
        &self,
        timeout: Duration,
        then: impl FnOnce(Result<Duration, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        let start = Instant::now();
        let then = Arc::new(Mutex::new(Some(Guarded::new(then))));
        // Where it fails, what the callback holds ends with this one, once the lock is free.
        let kept = Arc::clone(&then);
        let waiter = Waiter::Callback(Box::new(move |result| {
            let then = lock(&then).take();
            if let Some(then) = then.and_then(Guarded::take) {
                then(result.map(|_| start.elapsed()));
            }
        }));
        let mut state = self.state();
        let asked = state.session.ping(waiter, start.checked_add(timeout));
        drop(state);
        drop(kept);
        asked?;
        // The endpoint's thread has to look at the clock again.
        self.shared.command(Command::Look(self.token));
        Ok(())
    }

    fn wait_for(
        &self,
        timeout: Duration,
        ask: impl FnOnce(&mut Session<Waiter>, Waiter) -> Result<RequestId, Error>,
    ) -> Result<Response, Error> {
        let slot = Arc::new(Slot::default());
        let mut state = self.state();
        let id = ask(&mut state.session, Waiter::Thread(Arc::clone(&slot)))?;
        let paused = state.session.is_paused();
        if let Err(error) = self.bring_out(state, self.mode != PerformanceMode::Low) {
            self.state().session.forget(id);
            return Err(error);
        }
        if paused {
            // The reply is behind messages that callbacks were too slow for, perhaps this one.
            self.shared.command(Command::Resume(self.token));
        }
        if self.is_attentive() {
            slot.look_out(ATTENTION.min(timeout));
        }
        if let Some(result) = slot.wait(timeout) {
            return result;
        }
        self.state().session.forget(id);
        // It may have come at the last moment.
        slot.wait(Duration::ZERO).unwrap_or(Err(Error::TimedOut))
    }

    /// The conversation is over: nothing more is sent, and nobody waits any longer.
    pub(crate) fn close(&self, reason: CloseReason) -> (CloseReason, Vec<Waiter>) {
        let mut state = self.state();
        let reason = state.session.close(reason);
        let waiters = state.session.forget_all();
        self.changed.notify_all();
        (reason, waiters)
    }

    /// The socket is given back to the system, whoever still holds this.
    pub(crate) fn end(&self, cut: bool) {
        let mut state = self.state();
        state.ended = true;
        if cut {
            state.socket = None;
            state.session.free();
        }
        self.changed.notify_all();
    }

    /// Bytes that were accepted, and that the system has not taken; more than there are while somebody
    /// writes.
    pub(crate) fn unsent(&self) -> usize {
        let state = self.state();
        state.session.waiting_bytes() + state.encrypted
    }

    /// Waits for the end, which the endpoint's thread sees to by itself when the time is over. Whether
    /// all that was sent is written.
    pub(crate) fn wait_for_end(&self, timeout: Duration) -> bool {
        let state = self.state();
        let state = self
            .changed
            .wait_timeout_while(state, timeout.saturating_add(GRACE), |state| !state.ended)
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .0;
        state.ended && state.session.waiting_bytes() + state.encrypted == 0
    }

    pub(crate) fn ask_to_close(&self) {
        self.shared.command(Command::Close(self.token));
    }
}
