//! The life of a client, step by step. This is the main story.
//!
//! 1. The application calls `rd_kafka_new`. With Superstream off it is the engine's call.
//! 2. Its configuration is read, the service is asked, the advice becomes a plan.
//! 3. The plan is applied to the application's own `conf`, in place: a copy would lose the
//!    interceptors that were added to it.
//! 4. The engine creates the client. Where it refuses because of us, the old values are put
//!    back and it is called once more, as the application called it.
//! 5. The outcome is recorded and told.
//!
//! Our own work in steps 2, 3 and 5 may fail in any way: the client is created all the same.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Instant;

use superstream_protocol::{Change, ClientKind};

use crate::boundary;
use crate::cluster::Access;
use crate::consult;
use crate::debug;
use crate::engine::applied::Applied;
use crate::engine::conf::{Conf, ERRSTR_SIZE, OwnedConf};
use crate::engine::ffi::{
    self, ClientType, New, ResponseError, ShareConsumerNew, rd_kafka_conf_s, rd_kafka_s,
};
use crate::engine::hook::Hook;
use crate::engine::{Engine, errno};
use crate::process::{self, Process};
use crate::report::record::Client;
use crate::report::{hooks, masking};
use crate::settings;

/// The name of our interceptors: nobody else's.
const INTERCEPTOR: &CStr = c"superstream:client";
/// Clients that Superstream itself creates are left alone.
const OWN_CLIENTS: &str = "superstreamlib-";

/// A call that creates a client, as the application made it.
#[derive(Clone, Copy)]
pub struct NewCall {
    /// The engine that the application means.
    pub engine: &'static Engine,
    /// What is created.
    pub what: What,
    /// May be null.
    pub conf: *mut rd_kafka_conf_s,
    /// May be null where `errstr_size` is 0.
    pub errstr: *mut c_char,
    /// The room at `errstr`.
    pub errstr_size: usize,
}

/// What a call creates, and the engine's function that does it.
#[derive(Clone, Copy)]
pub enum What {
    /// `rd_kafka_new()`: a producer or a consumer.
    Client(New, ClientType),
    /// `rd_kafka_share_consumer_new()` of an engine that has it.
    ShareConsumer(ShareConsumerNew),
}

impl What {
    fn client_type(self) -> ClientType {
        match self {
            Self::Client(_, kind) => kind,
            Self::ShareConsumer(_) => ffi::CONSUMER,
        }
    }

    /// The engine's own call. A share consumer's handle is another type, which only the
    /// application looks into.
    ///
    /// # Safety
    /// The contract of the function.
    pub unsafe fn make(
        self,
        conf: *mut rd_kafka_conf_s,
        errstr: *mut c_char,
        errstr_size: usize,
    ) -> *mut rd_kafka_s {
        match self {
            // SAFETY: the caller's contract.
            Self::Client(new, kind) => unsafe { new(kind, conf, errstr, errstr_size) },
            // SAFETY: the caller's contract.
            Self::ShareConsumer(new) => unsafe { new(conf, errstr, errstr_size) }.cast(),
        }
    }
}

impl NewCall {
    /// The engine's own call, nothing changed.
    ///
    /// # Safety
    /// The contract of `rd_kafka_new`, which the application keeps.
    unsafe fn forward(&self) -> *mut rd_kafka_s {
        // SAFETY: the caller's contract.
        unsafe { self.what.make(self.conf, self.errstr, self.errstr_size) }
    }
}

/// A creation under way, on the thread of its caller.
struct Creation {
    process: &'static Process,
    client: Arc<Client>,
    /// What to set. Empty where nothing was advised, or in observe mode.
    changes: Vec<Change>,
    /// The engine has accepted the configuration: a failure from here on is none of ours.
    accepted: Cell<bool>,
    engine: &'static Engine,
    /// Where the number of its Kafka cluster is wanted.
    access: Option<Access>,
}

thread_local! {
    /// The creation under way on this thread. `on_new` runs on it and has no other way to know.
    static UNDER_WAY: Cell<*const Creation> = const { Cell::new(ptr::null()) };
}

/// Creates a client: `rd_kafka_new` with advice.
///
/// # Safety
/// The contract of `rd_kafka_new`: `conf` is null or a configuration of the engine that nobody
/// else uses, and `errstr` has room for `errstr_size` bytes.
#[inline(never)] // So that the entry function has nothing to unwind.
pub unsafe fn create(call: NewCall) -> *mut rd_kafka_s {
    // SAFETY: the caller's contract.
    boundary::uncancelled(|| unsafe { create_uncancelled(&call) })
}

/// # Safety
/// As for [`create`].
unsafe fn create_uncancelled(call: &NewCall) -> *mut rd_kafka_s {
    let before = errno::get();
    let creation = boundary::catch(|| begin(call)).flatten();
    errno::set(before);
    match creation {
        // SAFETY: the caller's contract.
        None => unsafe { call.forward() },
        Some(creation) => {
            // SAFETY: the caller's contract.
            let (handle, after) = unsafe { create_with(&creation, call) };
            // Whatever is freed here and in there is nothing to the application.
            drop(creation);
            errno::set(after);
            handle
        }
    }
}

/// Steps 1 and 2. `None` means: as if we were not there.
fn begin(call: &NewCall) -> Option<Creation> {
    if !UNDER_WAY.get().is_null() {
        return None;
    }
    let settings = settings::read_and_tell()?;
    let deadline = Instant::now() + settings.response_timeout;
    let kind = match call.what.client_type() {
        ffi::PRODUCER => ClientKind::Producer,
        ffi::CONSUMER => ClientKind::Consumer,
        _ => return None,
    };
    let own = own_where_null(call);
    let pointer = NonNull::new(own.as_ref().map_or(call.conf, OwnedConf::as_ptr))?;
    // SAFETY: the application's configuration by the contract of `create`, or our own.
    let conf = unsafe { Conf::borrow(call.engine, pointer) };

    let client_id = conf.get("client.id").unwrap_or_default();
    if client_id.starts_with(OWN_CLIENTS) {
        return None;
    }
    if !Hook::is_safe_on(&conf) {
        debug!("{client_id} stays as it is: this librdkafka fails badly where it has interceptors");
        return None;
    }
    let process = process::current_or_start(&settings);
    let registration = consult::registration(&settings, kind, &conf);
    let client = Arc::new(Client::new(registration, kind, client_id));
    let access = process.clusters.access(&settings, &conf);
    if let Some(access) = &access {
        client.uses(&access.cluster);
    }
    let asked = process.session.ask(&client, deadline);
    let changes = consult::plan(&settings, &client, &conf, asked, false);
    Some(Creation {
        process,
        client,
        changes,
        accepted: Cell::new(false),
        engine: call.engine,
        access,
    })
}

/// Steps 3 to 5: the handle, and `errno` as the engine left it.
///
/// # Safety
/// As for [`create`].
unsafe fn create_with(creation: &Creation, call: &NewCall) -> (*mut rd_kafka_s, c_int) {
    let before = errno::get();
    // A null `conf` means the engine's defaults; to tune them they need a `conf` of ours.
    let own = own_where_null(call);
    let pointer = own.as_ref().map_or(call.conf, OwnedConf::as_ptr);
    let Some(valid) = NonNull::new(pointer) else {
        // SAFETY: the caller's contract.
        let handle = unsafe { call.forward() };
        return (handle, errno::get());
    };
    // SAFETY: the application's configuration by the contract of `create`, or our own.
    let conf = unsafe { Conf::borrow(call.engine, valid) };
    let mut applied = Applied::default();
    let hook = boundary::catch(|| Hook::add(&conf, INTERCEPTOR, on_new));
    boundary::catch(|| {
        consult::apply(&creation.client, &conf, &creation.changes, &mut applied);
    });
    errno::set(before);

    let mut text = [0_u8; ERRSTR_SIZE];
    UNDER_WAY.set(creation);
    // SAFETY: the caller's contract; `text` has room for its length.
    let handle = unsafe {
        call.what
            .make(pointer, text.as_mut_ptr().cast(), text.len())
    };
    UNDER_WAY.set(ptr::null());
    let after = errno::get();

    if !handle.is_null() {
        // The engine owns the configuration now.
        if let Some(own) = own {
            own.given_away();
        }
        boundary::catch(|| created(creation));
        return (handle, after);
    }
    boundary::catch(|| {
        if creation.accepted.get() && creation.engine.frees_interceptors {
            applied.put_back_in_memory(&conf);
            forget_freed(creation, hook.as_ref(), &conf);
        } else {
            applied.put_back(&conf);
        }
    });
    if creation.accepted.get() && applied.anything() {
        boundary::catch(|| conf.finalize(call.what.client_type()));
    }
    let ours = applied.anything() && !creation.accepted.get();
    if !ours {
        if !creation.accepted.get() {
            boundary::catch(|| creation.process.session.goodbye(&creation.client));
        }
        drop(own);
        // SAFETY: the room that the application named.
        unsafe { copy_text(&text, call.errstr, call.errstr_size) };
        return (ptr::null_mut(), after);
    }

    errno::set(before);
    UNDER_WAY.set(creation);
    // SAFETY: the caller's contract, with everything as the application left it.
    let handle = unsafe { call.forward() };
    UNDER_WAY.set(ptr::null());
    let after = errno::get();
    boundary::catch(|| {
        if handle.is_null() {
            forget_freed(creation, hook.as_ref(), &conf);
            // Refused without our changes too: the application's own mistake.
            creation.process.session.goodbye(&creation.client);
        } else {
            refused(creation, &text);
            created(creation);
        }
    });
    (handle, after)
}

fn forget_freed(creation: &Creation, hook: Option<&Hook>, conf: &Conf<'_>) {
    if creation.accepted.get()
        && let Some(hook) = hook
    {
        hook.forget_freed(conf);
    }
}

/// A `conf` of ours, in place of the null that the application passed: the engine's defaults. A
/// share consumer has none to fall back on: what the engine makes of a null is its own affair.
fn own_where_null(call: &NewCall) -> Option<OwnedConf<'static>> {
    match call.what {
        What::Client(..) if call.conf.is_null() => OwnedConf::new(call.engine),
        _ => None,
    }
}

/// The engine does not take the configuration that we made of the application's.
fn refused(creation: &Creation, text: &[u8]) {
    let text = CStr::from_bytes_until_nul(text).unwrap_or_default();
    let reason = format!(
        "librdkafka refused the configuration with it: {}",
        text.to_string_lossy()
    );
    debug!("{reason}; the application's own values are put back");
    for change in &creation.changes {
        consult::not_applied(&creation.client, change, reason.clone());
    }
    let client = &creation.client;
    client.update(|outcome| outcome.errors.push(reason.clone()));
    creation.process.session.error(&creation.client, reason);
}

fn created(creation: &Creation) {
    creation.client.update(|outcome| outcome.created = true);
    creation.process.session.created(&creation.client);
    if let Some(access) = &creation.access {
        creation.process.clusters.read(access);
    }
}

/// Runs on the thread that calls `rd_kafka_new`, once the engine has accepted the configuration.
unsafe extern "C" fn on_new(
    handle: *mut rd_kafka_s,
    conf: *const rd_kafka_conf_s,
    _opaque: *mut c_void,
    _errstr: *mut c_char,
    _errstr_size: usize,
) -> ResponseError {
    // SAFETY: null, or the creation that `create_with` keeps alive around the engine's call.
    if let Some(creation) = unsafe { UNDER_WAY.get().as_ref() } {
        creation.accepted.set(true);
        boundary::catch(|| accepted(creation, handle, conf));
    }
    ffi::NO_ERROR
}

fn accepted(creation: &Creation, handle: *mut rd_kafka_s, conf: *const rd_kafka_conf_s) {
    // SAFETY: the engine gives a valid handle under creation, when interceptors may be added.
    unsafe {
        (creation.engine.add_on_destroy)(handle, INTERCEPTOR.as_ptr(), on_destroy, ptr::null_mut())
    };
    let slots = creation.process.session.slots();
    let slot = slots.take(creation.engine, handle);
    // SAFETY: as above.
    unsafe { hooks::add(slot, creation.engine, handle, INTERCEPTOR) };
    creation.client.count_at(slot, handle.addr());
    // From here on the client's own callbacks may use the handle, so it is known now. Where the
    // creation fails after all, `on_destroy` forgets it again.
    let client = Arc::clone(&creation.client);
    creation.process.add(handle, client, creation.engine);
    if let Some(conf) = NonNull::new(conf.cast_mut()) {
        // SAFETY: valid during this call, and only read.
        let conf = unsafe { Conf::borrow(creation.engine, conf) };
        let config = masking::mask(&conf.dump());
        creation.client.update(|outcome| outcome.config = config);
    }
}

/// Runs when the application begins to destroy a client. Hooks may still follow; only the
/// record goes.
unsafe extern "C" fn on_destroy(handle: *mut rd_kafka_s, _opaque: *mut c_void) -> ResponseError {
    boundary::catch_keeping_errno(|| {
        let process = process::current()?;
        let client = process.remove(handle)?;
        client.closes();
        process.session.goodbye(&client);
        Some(())
    });
    ffi::NO_ERROR
}

/// Copies an error text as the engine would have written it: cut to the room that there is.
/// Where the engine wrote nothing, nothing is copied.
///
/// # Safety
/// `errstr` has room for `size` bytes, or `size` is 0.
unsafe fn copy_text(text: &[u8], errstr: *mut c_char, size: usize) {
    let text = CStr::from_bytes_until_nul(text)
        .unwrap_or_default()
        .to_bytes();
    if text.is_empty() || errstr.is_null() || size == 0 {
        return;
    }
    let length = text.len().min(size - 1);
    // SAFETY: length + 1 bytes fit by the contract, and the two do not overlap.
    unsafe {
        ptr::copy_nonoverlapping(text.as_ptr(), errstr.cast::<u8>(), length);
        *errstr.add(length) = 0;
    }
}
