//! The functions that the preload library takes from whichever engine the application has.
//!
//! Which engine a call means is told by where it comes from, so each function hands on its return
//! address. A function that was fetched by `dlsym` is called from anywhere: those get a function of
//! their own for each engine, by [`superstream_interpose`].

use std::arch::naked_asm;
use std::cell::Cell;
use std::ffi::{CStr, c_char, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use crate::boundary;
use crate::client::{self, NewCall, What};
use crate::debug;
use crate::engine::Engine;
use crate::engine::ffi::{
    ClientType, TopicNew, rd_kafka_conf_s, rd_kafka_s, rd_kafka_share_s, rd_kafka_topic_conf_s,
    rd_kafka_topic_s,
};
use crate::engine::found::{self, Call, Found};
use crate::engine::objects::{self, Evidence};
use crate::{plugin, process, settings, topic};

const NEW: &CStr = c"rd_kafka_new";
const TOPIC_NEW: &CStr = c"rd_kafka_topic_new";
const SHARE_CONSUMER_NEW: &CStr = c"rd_kafka_share_consumer_new";

/// A C function that adds its return address as one argument more, and goes on as `$inner`.
macro_rules! with_caller {
    ($(#[$doc:meta])* $name:ident => $inner:ident, $x86:literal, $arm:literal) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// As librdkafka documents it.
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name() {
            #[cfg(target_arch = "x86_64")]
            naked_asm!(concat!("mov ", $x86, ", [rsp]"), "jmp {inner}", inner = sym $inner);
            #[cfg(target_arch = "aarch64")]
            naked_asm!(concat!("mov ", $arm, ", x30"), "b {inner}", inner = sym $inner);
        }
    };
}

with_caller! {
    /// librdkafka's `rd_kafka_new()`, with advice.
    rd_kafka_new => new_from, "r8", "x4"
}
with_caller! {
    /// librdkafka's `rd_kafka_topic_new()`, for topics that our linger would forbid.
    rd_kafka_topic_new => topic_new_from, "rcx", "x3"
}
with_caller! {
    /// librdkafka's `rd_kafka_share_consumer_new()` (since 2.15), with advice.
    rd_kafka_share_consumer_new => share_consumer_new_from, "rcx", "x3"
}

unsafe extern "C-unwind" fn new_from(
    kind: ClientType,
    conf: *mut rd_kafka_conf_s,
    errstr: *mut c_char,
    errstr_size: usize,
    caller: *const c_void,
) -> *mut rd_kafka_s {
    let ours = rd_kafka_new as *const c_void;
    let target = for_creation(call(NEW, ours, caller, conf.cast()));
    let target = target.map(|new| What::Client(new, kind));
    // SAFETY: the application keeps the contract of rd_kafka_new.
    unsafe { create_at(target, conf, errstr, errstr_size) }
}

unsafe extern "C-unwind" fn topic_new_from(
    handle: *mut rd_kafka_s,
    name: *const c_char,
    conf: *mut rd_kafka_topic_conf_s,
    caller: *const c_void,
) -> *mut rd_kafka_topic_s {
    let target = topic_new_of_caller(handle, caller);
    // SAFETY: the application keeps the contract of rd_kafka_topic_new.
    unsafe { topic_new_at(target, handle, name, conf) }
}

/// The engine that made the handle, or else the function that was fetched.
#[inline(never)] // See `Target`.
fn topic_new_of_slot(handle: *mut rd_kafka_s, slot: usize) -> Target<TopicNew> {
    let known = boundary::catch_keeping_errno(|| {
        let engine = process::current()?.client(handle)?.engine;
        Some(Target::Tuned(engine.topic_new, engine))
    });
    known
        .flatten()
        .unwrap_or_else(|| unexamined(fetched(&TOPIC_NEWS, slot)))
}

thread_local! {
    /// The last topic's function that was looked up on this thread, and for what: an application
    /// may ask for its topics with each record.
    static LAST: Cell<Option<(LookedUp, TopicNew)>> = const { Cell::new(None) };
}

#[derive(Clone, Copy)]
struct LookedUp {
    caller: *const c_void,
    /// An address in the engine, which is loaded as long as it has handles: what has this word at
    /// this place is one of them.
    evidence: Evidence,
}

#[inline(never)] // See `Target`.
fn topic_new_of_caller(handle: *mut rd_kafka_s, caller: *const c_void) -> Target<TopicNew> {
    let ours = rd_kafka_topic_new as *const c_void;
    let place = call(TOPIC_NEW, ours, caller, handle.cast());
    let target = boundary::catch_keeping_errno(|| {
        if let Some(known) = process::current().and_then(|process| process.client(handle)) {
            return Target::Tuned(known.engine.topic_new, known.engine);
        }
        if let Some((last, topic_new)) = LAST.get()
            && last.caller == caller
            && let Some(handle) = NonNull::new(handle)
            // SAFETY: the application's handle, by the contract of rd_kafka_topic_new.
            && unsafe { last.evidence.is_in(handle.cast()) }
        {
            return Target::Plain(topic_new);
        }
        let Some(found) = found(place) else {
            return Target::Nowhere;
        };
        // SAFETY: looked up under the name of this function.
        let topic_new = unsafe { found::function::<TopicNew>(found.function) };
        let looked_up = found.evidence.map(|evidence| LookedUp { caller, evidence });
        LAST.set(looked_up.map(|looked_up| (looked_up, topic_new)));
        Target::Plain(topic_new)
    });
    target.unwrap_or_else(|| unexamined(place))
}

unsafe extern "C-unwind" fn share_consumer_new_from(
    conf: *mut rd_kafka_conf_s,
    errstr: *mut c_char,
    errstr_size: usize,
    caller: *const c_void,
) -> *mut rd_kafka_share_s {
    let ours = rd_kafka_share_consumer_new as *const c_void;
    let target = for_creation(call(SHARE_CONSUMER_NEW, ours, caller, conf.cast()));
    let target = target.map(What::ShareConsumer);
    // SAFETY: the application keeps the contract of rd_kafka_share_consumer_new.
    unsafe { create_at(target, conf, errstr, errstr_size) }.cast()
}

/// Where a call goes on. It has nothing to drop: the application's thread may be cancelled in the
/// engine, which unwinds the functions below, and they must have nothing to do then.
#[derive(Clone, Copy)]
enum Target<F> {
    /// To the engine, with advice.
    Tuned(F, &'static Engine),
    /// To the engine, as if we were not there.
    Plain(F),
    /// Nobody knows.
    Nowhere,
}

impl<F> Target<F> {
    /// The same place for what is made of the function. `wrap` cannot fail.
    fn map<G>(self, wrap: impl FnOnce(F) -> G) -> Target<G> {
        match self {
            Self::Tuned(function, engine) => Target::Tuned(wrap(function), engine),
            Self::Plain(function) => Target::Plain(wrap(function)),
            Self::Nowhere => Target::Nowhere,
        }
    }
}

/// # Safety
/// The contract of the function that creates.
unsafe fn create_at(
    target: Target<What>,
    conf: *mut rd_kafka_conf_s,
    errstr: *mut c_char,
    errstr_size: usize,
) -> *mut rd_kafka_s {
    match target {
        // SAFETY: the caller's contract.
        Target::Tuned(what, engine) => unsafe {
            client::create(NewCall {
                engine,
                what,
                conf,
                errstr,
                errstr_size,
            })
        },
        // SAFETY: the caller's contract.
        Target::Plain(what) => unsafe { what.make(conf, errstr, errstr_size) },
        Target::Nowhere => {
            // SAFETY: the caller's contract.
            unsafe { no_engine(errstr, errstr_size) };
            ptr::null_mut()
        }
    }
}

/// # Safety
/// The contract of `rd_kafka_topic_new`.
unsafe fn topic_new_at(
    target: Target<TopicNew>,
    handle: *mut rd_kafka_s,
    name: *const c_char,
    conf: *mut rd_kafka_topic_conf_s,
) -> *mut rd_kafka_topic_s {
    match target {
        // SAFETY: the caller's contract, with the engine that made the handle.
        Target::Tuned(_, engine) => unsafe { topic::create(engine, handle, name, conf) },
        // SAFETY: the caller's contract.
        Target::Plain(topic_new) => unsafe { topic_new(handle, name, conf) },
        Target::Nowhere => ptr::null_mut(),
    }
}

/// Where to find the engine's function.
#[derive(Clone, Copy)]
enum Where {
    Called(Call),
    /// `dlsym` found it.
    Fetched(*mut c_void),
}

fn call(
    name: &'static CStr,
    ours: *const c_void,
    caller: *const c_void,
    evidence: *const c_void,
) -> Where {
    Where::Called(Call {
        name,
        ours,
        caller,
        evidence,
    })
}

fn found(place: Where) -> Option<Found> {
    match place {
        // SAFETY: it is what the application passed for its engine.
        Where::Called(call) => unsafe { found::of_call(&call) },
        Where::Fetched(function) => Some(found::of_function(NonNull::new(function)?)),
    }
}

/// The target of a call that creates a client.
#[inline(never)] // See `Target`.
fn for_creation<F: Copy>(place: Where) -> Target<F> {
    target(place, |found| {
        if !settings::is_on() {
            return None;
        }
        settings::enable_log();
        found.engine()
    })
}

fn target<F: Copy>(
    place: Where,
    engine: impl FnOnce(&Found) -> Option<&'static Engine>,
) -> Target<F> {
    let target = boundary::catch_keeping_errno(|| {
        let found = found(place)?;
        // SAFETY: looked up under the name of the function that `F` is.
        let function = unsafe { found::function(found.function) };
        if found.from_inside {
            return Some(Target::Plain(function));
        }
        // An error of our own in here leaves the call to the engine.
        let engine = boundary::catch(|| engine(&found)).flatten();
        Some(match engine {
            Some(engine) => Target::Tuned(function, engine),
            None => Target::Plain(function),
        })
    });
    target.map_or_else(
        || unexamined(place),
        |found| found.unwrap_or(Target::Nowhere),
    )
}

/// Where looking for the engine failed by a fault of ours.
fn unexamined<F: Copy>(place: Where) -> Target<F> {
    let function = boundary::catch_keeping_errno(|| match place {
        Where::Called(call) => found::linked(&call),
        Where::Fetched(function) => NonNull::new(function),
    });
    function.flatten().map_or(Target::Nowhere, |function| {
        // SAFETY: looked up under the name of the function that `F` is.
        Target::Plain(unsafe { found::function(function) })
    })
}

/// There is no librdkafka in the process, or more than one and no telling which.
///
/// # Safety
/// `errstr` has room for `size` bytes, or `size` is 0.
#[inline(never)] // See `Target`.
unsafe fn no_engine(errstr: *mut c_char, size: usize) {
    const TEXT: &CStr = c"Superstream finds no librdkafka that this call could mean";
    static TOLD: AtomicBool = AtomicBool::new(false);
    boundary::catch_keeping_errno(|| {
        settings::enable_log();
        if settings::is_on() && !TOLD.swap(true, Ordering::Relaxed) {
            debug!("{}", TEXT.to_string_lossy());
        }
    });
    if errstr.is_null() || size == 0 {
        return;
    }
    let length = TEXT.count_bytes().min(size - 1);
    // SAFETY: length + 1 bytes fit by the contract.
    unsafe {
        ptr::copy_nonoverlapping(TEXT.as_ptr(), errstr, length);
        *errstr.add(length) = 0;
    }
}

/// For the plugin: a configuration that an application is about to fill, and an address in the
/// engine that it belongs to. Where this library is preloaded it is to meet the client later, and to
/// know more then.
///
/// # Safety
/// `conf` is null or a configuration of that engine, which no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn superstream_conf_init(conf: *mut rd_kafka_conf_s, caller: *mut c_void) {
    boundary::catch_keeping_errno(|| {
        let conf = NonNull::new(conf)?;
        settings::enable_log();
        let preloaded = objects::global_symbol(NEW)
            .is_some_and(|seen| ptr::eq(seen.as_ptr(), rd_kafka_new as *const c_void));
        if preloaded || !settings::is_on() {
            return None;
        }
        let engine = found::of_function(NonNull::new(caller)?).engine()?;
        // SAFETY: the caller's contract.
        unsafe { plugin::tune(engine, conf) };
        Some(())
    });
}

/// One function for each slot.
macro_rules! stand_ins {
    ($function:ident) => {
        [
            $function::<0> as *mut c_void,
            $function::<1> as *mut c_void,
            $function::<2> as *mut c_void,
            $function::<3> as *mut c_void,
            $function::<4> as *mut c_void,
            $function::<5> as *mut c_void,
            $function::<6> as *mut c_void,
            $function::<7> as *mut c_void,
        ]
    };
}

/// Engines whose functions may be fetched by `dlsym` and taken.
const SLOTS: usize = 8;

/// The engines' own functions.
type Functions = [AtomicPtr<c_void>; SLOTS];
static NEWS: Functions = [const { AtomicPtr::new(ptr::null_mut()) }; SLOTS];
static TOPIC_NEWS: Functions = [const { AtomicPtr::new(ptr::null_mut()) }; SLOTS];
static SHARE_CONSUMER_NEWS: Functions = [const { AtomicPtr::new(ptr::null_mut()) }; SLOTS];

/// For the hooks on `dlsym`: the function to hand out in place of the engine's own `function`,
/// which was found under `name`. It is `function` itself where Superstream is off, does not take a
/// function of that name, or has no room for one engine more.
///
/// # Safety
/// `name` is a C string, and `function` is null or what `dlsym` found under it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn superstream_interpose(
    name: *const c_char,
    function: *mut c_void,
) -> *mut c_void {
    if name.is_null() || function.is_null() || objects::is_looking() || !settings::is_on() {
        return function;
    }
    // SAFETY: the caller's contract.
    let name = unsafe { CStr::from_ptr(name) };
    let (functions, ours, stand_ins) = if name == NEW {
        (&NEWS, rd_kafka_new as *mut c_void, stand_ins!(new_of))
    } else if name == TOPIC_NEW {
        let ours = rd_kafka_topic_new as *mut c_void;
        (&TOPIC_NEWS, ours, stand_ins!(topic_new_of))
    } else if name == SHARE_CONSUMER_NEW {
        let ours = rd_kafka_share_consumer_new as *mut c_void;
        let stand_ins = stand_ins!(share_consumer_new_of);
        (&SHARE_CONSUMER_NEWS, ours, stand_ins)
    } else {
        return function;
    };
    if ptr::eq(function, ours) || stand_ins.contains(&function) {
        return function;
    }
    slot(functions, function).map_or(function, |slot| stand_ins[slot])
}

/// The slot of a function, a free one if it has none.
fn slot(functions: &Functions, function: *mut c_void) -> Option<usize> {
    functions.iter().position(|slot| {
        let empty = ptr::null_mut();
        match slot.compare_exchange(empty, function, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(taken) => ptr::eq(taken, function),
        }
    })
}

fn fetched(functions: &Functions, slot: usize) -> Where {
    Where::Fetched(functions[slot].load(Ordering::Acquire))
}

unsafe extern "C-unwind" fn new_of<const SLOT: usize>(
    kind: ClientType,
    conf: *mut rd_kafka_conf_s,
    errstr: *mut c_char,
    errstr_size: usize,
) -> *mut rd_kafka_s {
    let target = for_creation(fetched(&NEWS, SLOT));
    let target = target.map(|new| What::Client(new, kind));
    // SAFETY: the application keeps the contract of rd_kafka_new.
    unsafe { create_at(target, conf, errstr, errstr_size) }
}

unsafe extern "C-unwind" fn topic_new_of<const SLOT: usize>(
    handle: *mut rd_kafka_s,
    name: *const c_char,
    conf: *mut rd_kafka_topic_conf_s,
) -> *mut rd_kafka_topic_s {
    let target = topic_new_of_slot(handle, SLOT);
    // SAFETY: the application keeps the contract of rd_kafka_topic_new.
    unsafe { topic_new_at(target, handle, name, conf) }
}

unsafe extern "C-unwind" fn share_consumer_new_of<const SLOT: usize>(
    conf: *mut rd_kafka_conf_s,
    errstr: *mut c_char,
    errstr_size: usize,
) -> *mut rd_kafka_share_s {
    let target = for_creation(fetched(&SHARE_CONSUMER_NEWS, SLOT));
    let target = target.map(What::ShareConsumer);
    // SAFETY: the application keeps the contract of rd_kafka_share_consumer_new.
    unsafe { create_at(target, conf, errstr, errstr_size) }.cast()
}
