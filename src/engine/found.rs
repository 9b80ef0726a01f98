//! Finding the application's engine: the one that a caller would have reached without us.
//!
//! Looked for in this order (design, section 4):
//!
//! 1. The global scope after this library: an engine that was linked, or opened globally.
//! 2. What the calling object itself depends on: an engine that came in by a local `dlopen`, as in
//!    every Python wheel and Node module.
//! 3. All loaded objects that define the function themselves: where the caller ends in a tail call,
//!    so that the return address is that of its caller.
//!
//! The configuration or handle that is passed has the last word: it holds addresses of functions of
//! the engine that made it. Without one, or where none fits, the first engine found is it, except
//! among several in 3.
//!
//! A call that a librdkafka makes to a public function of its own is not ours to take.

use std::ffi::{CStr, c_void};
use std::mem::transmute_copy;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

use once_cell::race::OnceBox;

use super::Engine;
use super::last_record::Functions;
use super::objects::{self, Evidence, Handle, Object};
use crate::debug;

/// The first version whose failed creations leave the application's interceptors alone: 2.13.0.
/// Tried on the engines of the wheels 2.12.1 and 2.13.0.
const MENDED_IN: i32 = 0x020d_0000;

/// The function that tells an engine from what wraps one: nobody has a reason to take it.
const VERSION: &CStr = c"rd_kafka_version";

/// A call as it arrived.
#[derive(Clone, Copy)]
pub struct Call {
    /// The function's name.
    pub name: &'static CStr,
    /// This library's own function of that name.
    pub ours: *const c_void,
    /// The return address.
    pub caller: *const c_void,
    /// The configuration or handle that is passed: it belongs to the engine in question.
    pub evidence: *const c_void,
}

/// The engine's own function that a call meant.
#[derive(Debug)]
pub struct Found {
    /// The function.
    pub function: NonNull<c_void>,
    /// The engine called it itself.
    pub from_inside: bool,
    /// What in the configuration or handle says so.
    pub evidence: Option<Evidence>,
    source: Source,
}

/// Where an engine's functions are looked up.
#[derive(Debug)]
enum Source {
    /// In the global scope after this library.
    Next,
    /// In an object and what it depends on.
    Object(Handle),
    /// In the object that holds a function.
    Around(NonNull<c_void>),
}

impl Source {
    fn symbol(&self, name: &CStr) -> Option<NonNull<c_void>> {
        match self {
            Self::Next => objects::next_symbol(name),
            Self::Object(handle) => handle.symbol(name),
            Self::Around(function) => {
                let object = objects::holding(function.as_ptr())?;
                object.open()?.symbol(name)
            }
        }
    }
}

/// The function that a call meant; `None` where no engine can be told.
///
/// # Safety
/// The call's evidence is null or a configuration or handle of some librdkafka.
pub unsafe fn of_call(call: &Call) -> Option<Found> {
    let caller = objects::holding(call.caller);
    let owned = NonNull::new(call.evidence.cast_mut());
    let proven = |(function, source): Candidate| {
        let proof = || {
            let engine = objects::holding(source.symbol(VERSION)?.as_ptr())?;
            // SAFETY: the caller's contract.
            unsafe { Evidence::of(owned?, &engine) }
        };
        let evidence = proof();
        let from_inside = caller
            .as_ref()
            .is_some_and(|caller| caller.is_librdkafka() && caller.holds(function.as_ptr()));
        Found {
            function,
            from_inside,
            evidence,
            source,
        }
    };
    let near = [
        in_global_scope(call),
        caller.as_ref().and_then(|caller| below(call, caller)),
    ];
    let mut first = None;
    for candidate in near.into_iter().flatten() {
        let found = proven(candidate);
        if found.evidence.is_some() || owned.is_none() {
            return Some(found);
        }
        first = first.or(Some(found));
    }
    let mut anywhere: Vec<Found> = anywhere(call).map(proven).collect();
    let place = anywhere.iter().position(|found| found.evidence.is_some());
    match (place, first) {
        (Some(place), _) => Some(anywhere.swap_remove(place)),
        (None, Some(first)) => Some(first),
        (None, None) if anywhere.len() == 1 => anywhere.pop(),
        (None, None) => None,
    }
}

/// A function, and where it was found.
type Candidate = (NonNull<c_void>, Source);

/// The engine of a function that somebody's `dlsym` found.
pub fn of_function(function: NonNull<c_void>) -> Found {
    Found {
        function,
        from_inside: false,
        evidence: None,
        source: Source::Around(function),
    }
}

/// What the linker gave the caller before we came, as far as that is known without a look at what
/// is passed: what its own object depends on, or for the program what is global.
pub fn linked(call: &Call) -> Option<NonNull<c_void>> {
    let caller = objects::holding(call.caller)?;
    match caller.open() {
        Some(_) => below(call, &caller).map(|(function, _)| function),
        None => objects::next_symbol(call.name),
    }
}

fn in_global_scope(call: &Call) -> Option<Candidate> {
    Some((objects::next_symbol(call.name)?, Source::Next))
}

fn below(call: &Call, caller: &Object) -> Option<Candidate> {
    let handle = caller.open()?;
    let function = handle.symbol(call.name)?;
    (!is_ours(call, function)).then_some((function, Source::Object(handle)))
}

fn anywhere(call: &Call) -> impl Iterator<Item = Candidate> {
    objects::all().into_iter().filter_map(|handle| {
        let function = handle.symbol(call.name)?;
        let object = objects::holding(function.as_ptr())?;
        let defines = handle.is_of(&object) && !is_ours(call, function);
        (defines && is_engine(&object)).then_some((function, Source::Object(handle)))
    })
}

fn is_ours(call: &Call, function: NonNull<c_void>) -> bool {
    ptr::eq(function.as_ptr(), call.ours)
}

/// An engine that was found once. It stays loaded, so this stays true.
struct Known {
    /// `None` where it lacks what we need.
    engine: Option<Engine>,
    new: NonNull<c_void>,
    /// Two engines never share [`VERSION`], whatever wraps their other functions.
    version: NonNull<c_void>,
    next: *const Self,
}

/// A list that only grows, without a lock: a forked child may find it in any state.
static KNOWN: AtomicPtr<Known> = AtomicPtr::new(ptr::null_mut());

fn all_known() -> impl Iterator<Item = &'static Known> {
    let mut next = KNOWN.load(Ordering::Acquire).cast_const();
    std::iter::from_fn(move || {
        // SAFETY: null, or from Box::into_raw in `remember` and never freed.
        let known: &'static Known = unsafe { next.as_ref() }?;
        next = known.next;
        Some(known)
    })
}

/// Another thread may remember the same meanwhile: two tables of one engine do no harm.
fn remember(known: Known) -> &'static Known {
    let fresh = Box::into_raw(Box::new(known));
    let mut head = KNOWN.load(Ordering::Acquire);
    loop {
        // SAFETY: just made, and nobody else has seen it yet.
        unsafe { (*fresh).next = head };
        match KNOWN.compare_exchange(head, fresh, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: never freed from here on.
            Ok(_) => return unsafe { &*fresh },
            Err(now) => head = now,
        }
    }
}

impl Found {
    /// The table of the engine. `None` where the engine is too old for us.
    pub fn engine(&self) -> Option<&'static Engine> {
        let source = &self.source;
        let new = source.symbol(c"rd_kafka_new")?;
        let version = source.symbol(VERSION)?;
        let known = all_known().find(|known| known.new == new && known.version == version);
        let known = match known {
            Some(known) => known,
            None => {
                let object = objects::holding(version.as_ptr())?;
                let in_engine = |address: NonNull<c_void>| object.holds(address.as_ptr());
                if source.symbol(c"superstream_version").is_some_and(in_engine) {
                    debug!("the drop-in looks after its clients itself");
                    return None;
                }
                // Our hooks do not need it, but the table does.
                object.pin();
                remember(Known {
                    engine: table_or_line(source, &object),
                    new,
                    version,
                    next: ptr::null(),
                })
            }
        };
        known.engine.as_ref()
    }
}

fn table_or_line(source: &Source, object: &Object) -> Option<Engine> {
    match table(source, object) {
        Ok(engine) => Some(engine),
        Err(missing) => {
            debug!(
                "the librdkafka in {} has no {}: it is too old, and its clients stay as they are",
                object.name.to_string_lossy(),
                missing.to_string_lossy()
            );
            None
        }
    }
}

/// Fills the table; the error is the name of a function that the engine lacks.
fn table(source: &Source, object: &Object) -> Result<Engine, &'static CStr> {
    // A function may be wrapped by another preloaded library, but must not be that of another
    // engine in the same scope, which may have what this one lacks.
    let is_allowed = |found: &NonNull<c_void>| {
        object.holds(found.as_ptr())
            || !objects::holding(found.as_ptr()).is_some_and(|o| is_engine(&o))
    };
    let own = |name| source.symbol(name).filter(is_allowed);
    let find = |name: &'static CStr| own(name).ok_or(name);
    // SAFETY: librdkafka's function of each name has the type of the field that it fills, in every
    // version since 1.0 that has it.
    let engine = unsafe {
        Engine {
            topic_new: function(find(c"rd_kafka_topic_new")?),
            version: function(find(c"rd_kafka_version")?),
            version_str: function(find(c"rd_kafka_version_str")?),
            conf_new: function(find(c"rd_kafka_conf_new")?),
            conf_destroy: function(find(c"rd_kafka_conf_destroy")?),
            conf_get: function(find(c"rd_kafka_conf_get")?),
            conf_set: function(find(c"rd_kafka_conf_set")?),
            conf_dump: function(find(c"rd_kafka_conf_dump")?),
            topic_conf_dump: function(find(c"rd_kafka_topic_conf_dump")?),
            conf_dump_free: function(find(c"rd_kafka_conf_dump_free")?),
            conf_default_topic_conf: own(c"rd_kafka_conf_get_default_topic_conf")
                .map(|found| function(found)),
            topic_conf_get: function(find(c"rd_kafka_topic_conf_get")?),
            topic_conf_set: function(find(c"rd_kafka_topic_conf_set")?),
            add_on_new: function(find(c"rd_kafka_conf_interceptor_add_on_new")?),
            add_on_destroy: function(find(c"rd_kafka_interceptor_add_on_destroy")?),
            add_on_send: function(find(c"rd_kafka_interceptor_add_on_send")?),
            add_on_acknowledgement: function(find(c"rd_kafka_interceptor_add_on_acknowledgement")?),
            add_on_consume: function(find(c"rd_kafka_interceptor_add_on_consume")?),
            add_on_request_sent: function(find(c"rd_kafka_interceptor_add_on_request_sent")?),
            add_on_response_received: own(c"rd_kafka_interceptor_add_on_response_received")
                .map(|found| function(found)),
            add_on_thread_start: own(c"rd_kafka_interceptor_add_on_thread_start")
                .map(|found| function(found)),
            add_on_thread_exit: own(c"rd_kafka_interceptor_add_on_thread_exit")
                .map(|found| function(found)),
            topic_name: function(find(c"rd_kafka_topic_name")?),
            message_latency: own(c"rd_kafka_message_latency").map(|found| function(found)),
            message_headers: own(c"rd_kafka_message_headers").map(|found| function(found)),
            header_get_last: own(c"rd_kafka_header_get_last").map(|found| function(found)),
            reading: Functions::find(own),
            conf_size: None,
            conf_finalize: None,
            frees_interceptors: false,
            on_new_list: OnceBox::new(),
            file: object.name.to_string_lossy().into_owned(),
        }
    };
    // SAFETY: takes nothing.
    let version = unsafe { (engine.version)() };
    Ok(Engine {
        frees_interceptors: version < MENDED_IN,
        ..engine
    })
}

/// Whether an object has a librdkafka inside.
fn is_engine(object: &Object) -> bool {
    let version = object.open().and_then(|handle| handle.symbol(VERSION));
    version.is_some_and(|version| object.holds(version.as_ptr()))
}

/// A function by its address.
///
/// # Safety
/// `F` is the type of the function at this address, as a pointer.
pub unsafe fn function<F: Copy>(address: NonNull<c_void>) -> F {
    const { assert!(size_of::<F>() == size_of::<NonNull<c_void>>()) };
    // SAFETY: both are pointers of one size; the rest is the caller's contract.
    unsafe { transmute_copy::<NonNull<c_void>, F>(&address) }
}
