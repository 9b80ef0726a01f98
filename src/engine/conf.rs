//! Reading and setting the properties of a configuration that belongs to somebody else.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};
use std::ops::RangeInclusive;
use std::ptr::{self, NonNull};

use super::Engine;
use super::ffi::{self, OnNew, rd_kafka_conf_s, rd_kafka_topic_conf_s};

/// Sizes in bytes that a `conf` may have. Another one means that the allocator does not tell it.
const PLAUSIBLE_SIZES: RangeInclusive<usize> = 1024..=64 * 1024;
/// Room for librdkafka's error texts.
pub const ERRSTR_SIZE: usize = 4096;

/// A borrowed client configuration, and the engine that it belongs to.
#[derive(Clone, Copy)]
pub struct Conf<'e> {
    engine: &'e Engine,
    pointer: NonNull<rd_kafka_conf_s>,
}

impl<'e> Conf<'e> {
    /// # Safety
    /// `pointer` is a configuration of `engine` that outlives the result, and no other thread
    /// uses it meanwhile: the contract that librdkafka has with its caller.
    pub unsafe fn borrow(engine: &'e Engine, pointer: NonNull<rd_kafka_conf_s>) -> Self {
        Self { engine, pointer }
    }

    /// The value of a property; `None` where the engine does not know it or it has none.
    pub fn get(&self, name: &str) -> Option<String> {
        let name = CString::new(name).ok()?;
        read(|dest, size| {
            // SAFETY: the configuration is valid by `borrow`, the name is a C string, and
            // `dest` has room for `size` bytes or is null.
            unsafe { (self.engine.conf_get)(self.pointer.as_ptr(), name.as_ptr(), dest, size) }
        })
    }

    /// Sets a property. The error is the engine's own text.
    pub fn set(&self, name: &str, value: &str) -> Result<(), String> {
        write(name, value, |name, value, errstr| {
            // SAFETY: as in `get`; `errstr` has room for ERRSTR_SIZE bytes.
            unsafe {
                (self.engine.conf_set)(self.pointer.as_ptr(), name, value, errstr, ERRSTR_SIZE)
            }
        })
    }

    /// The default topic configuration; `None` where the application made none.
    pub fn default_topic_conf(&self) -> Option<TopicConf<'e>> {
        let get = self.engine.conf_default_topic_conf?;
        // SAFETY: valid by `borrow`. The result belongs to the configuration.
        let topic = unsafe { get(self.pointer.as_ptr()) };
        let pointer = NonNull::new(topic)?;
        // SAFETY: lives as long as this configuration.
        Some(unsafe { TopicConf::borrow(self.engine, pointer) })
    }

    /// All properties of the client and their values, and those of its default topic
    /// configuration where there is one. Both have a codec: told is the one that wins.
    pub fn dump(&self) -> BTreeMap<String, String> {
        let mut properties = dump(self.engine, |count| {
            // SAFETY: valid by `borrow`; the count is filled in.
            unsafe { (self.engine.conf_dump)(self.pointer.as_ptr(), count) }
        });
        if let Some(topic) = self.default_topic_conf() {
            let topic = topic.dump().into_iter();
            properties.extend(topic.filter(|(_, value)| value != "inherit"));
        }
        properties
    }

    /// Derives anew what the engine derives from the properties when it takes a configuration, where
    /// it lets us.
    pub fn finalize(&self, kind: ffi::ClientType) {
        if let Some(finalize) = self.engine.conf_finalize {
            // SAFETY: valid by `borrow`; the engine does the same in each creation.
            unsafe { finalize(self.pointer.as_ptr(), kind) };
        }
    }

    /// The engine that it belongs to.
    pub fn engine(&self) -> &'e Engine {
        self.engine
    }

    /// Adds an `on_new` interceptor; see [`super::hook`].
    pub fn add_on_new(&self, name: &CStr, on_new: OnNew) {
        // SAFETY: valid by `borrow`; the engine copies the name. Its only failure is that the
        // interceptor is there already.
        unsafe {
            (self.engine.add_on_new)(
                self.pointer.as_ptr(),
                name.as_ptr(),
                Some(on_new),
                ptr::null_mut(),
            )
        };
    }

    /// How many words the configuration's memory has, as far as the engine or the allocator tells.
    fn word_count(&self) -> usize {
        let size = match self.engine.conf_size {
            // SAFETY: takes nothing.
            Some(size) => unsafe { size() },
            #[cfg(not(feature = "embedded-engine"))]
            None if super::objects::allocator_tells_sizes() => {
                // SAFETY: the engine allocates a configuration with the process's malloc.
                unsafe { libc::malloc_usable_size(self.pointer.as_ptr().cast()) }
            }
            None => 0,
        };
        match PLAUSIBLE_SIZES.contains(&size) {
            true => size / size_of::<u64>(),
            false => 0,
        }
    }

    /// The configuration's memory. Empty where its size is not known.
    pub fn words(&self) -> Vec<u64> {
        let words = self.pointer.as_ptr().cast::<u64>();
        let count = self.word_count();
        // SAFETY: so many bytes belong to it, and nobody else uses it. What lies behind what the
        // engine zeroed is the allocator's, and never looked at alone.
        (0..count)
            .map(|at| unsafe { words.add(at).read() })
            .collect()
    }

    /// Writes words of the configuration's memory.
    pub fn write_words(&self, words: impl Iterator<Item = (usize, u64)>) {
        let count = self.word_count();
        for (at, value) in words.filter(|(at, _)| *at < count) {
            // SAFETY: inside the configuration, which nobody else uses.
            unsafe { self.pointer.as_ptr().cast::<u64>().add(at).write(value) };
        }
    }
}

/// A configuration of our own.
#[derive(Debug)]
pub struct OwnedConf<'e> {
    engine: &'e Engine,
    pointer: NonNull<rd_kafka_conf_s>,
}

impl<'e> OwnedConf<'e> {
    /// The engine's defaults.
    pub fn new(engine: &'e Engine) -> Option<Self> {
        // SAFETY: takes nothing.
        let pointer = NonNull::new(unsafe { (engine.conf_new)() })?;
        Some(Self { engine, pointer })
    }

    /// To read and set it.
    pub fn borrow(&self) -> Conf<'e> {
        Conf {
            engine: self.engine,
            pointer: self.pointer,
        }
    }

    /// For a function of the engine that may take it.
    pub fn as_ptr(&self) -> *mut rd_kafka_conf_s {
        self.pointer.as_ptr()
    }

    /// The engine took it.
    pub fn given_away(self) {
        std::mem::forget(self);
    }
}

impl Drop for OwnedConf<'_> {
    fn drop(&mut self) {
        // SAFETY: made by conf_new of the same engine, and not given away.
        unsafe { (self.engine.conf_destroy)(self.pointer.as_ptr()) };
    }
}

/// A borrowed topic configuration, and the engine that it belongs to.
#[derive(Clone, Copy)]
pub struct TopicConf<'e> {
    engine: &'e Engine,
    pointer: NonNull<rd_kafka_topic_conf_s>,
}

impl<'e> TopicConf<'e> {
    /// # Safety
    /// As for [`Conf::borrow`].
    pub unsafe fn borrow(engine: &'e Engine, pointer: NonNull<rd_kafka_topic_conf_s>) -> Self {
        Self { engine, pointer }
    }

    /// As [`Conf::get`].
    pub fn get(&self, name: &str) -> Option<String> {
        let name = CString::new(name).ok()?;
        read(|dest, size| {
            // SAFETY: as in `Conf::get`.
            unsafe {
                (self.engine.topic_conf_get)(self.pointer.as_ptr(), name.as_ptr(), dest, size)
            }
        })
    }

    fn dump(&self) -> BTreeMap<String, String> {
        dump(self.engine, |count| {
            // SAFETY: valid by `borrow`; the count is filled in.
            unsafe { (self.engine.topic_conf_dump)(self.pointer.as_ptr(), count) }
        })
    }

    /// As [`Conf::set`].
    pub fn set(&self, name: &str, value: &str) -> Result<(), String> {
        write(name, value, |name, value, errstr| {
            // SAFETY: as in `Conf::set`.
            unsafe {
                (self.engine.topic_conf_set)(
                    self.pointer.as_ptr(),
                    name,
                    value,
                    errstr,
                    ERRSTR_SIZE,
                )
            }
        })
    }
}

/// A dump of the engine's: name, value, name, …
fn dump(
    engine: &Engine,
    make: impl FnOnce(*mut usize) -> *mut *const c_char,
) -> BTreeMap<String, String> {
    let mut count = 0;
    let array = make(&mut count);
    if array.is_null() {
        return BTreeMap::new();
    }
    let text = |index: usize| {
        // SAFETY: index < count, and each entry is a C string until conf_dump_free.
        unsafe { CStr::from_ptr(*array.add(index)) }
            .to_string_lossy()
            .into_owned()
    };
    let properties = (0..count / 2)
        .map(|pair| (text(2 * pair), text(2 * pair + 1)))
        .collect();
    // SAFETY: the array and its count as the engine gave them.
    unsafe { (engine.conf_dump_free)(array, count) };
    properties
}

/// librdkafka's two steps: ask for the size, then for the value.
fn read(get: impl Fn(*mut c_char, *mut usize) -> ffi::ConfResult) -> Option<String> {
    let mut size = 0;
    if get(ptr::null_mut(), &mut size) != ffi::CONF_OK {
        return None;
    }
    let mut buffer = vec![0_u8; size.max(1)];
    size = buffer.len();
    if get(buffer.as_mut_ptr().cast(), &mut size) != ffi::CONF_OK {
        return None;
    }
    let text = CStr::from_bytes_until_nul(&buffer).ok()?;
    Some(text.to_string_lossy().into_owned())
}

fn write(
    name: &str,
    value: &str,
    set: impl Fn(*const c_char, *const c_char, *mut c_char) -> ffi::ConfResult,
) -> Result<(), String> {
    let (Ok(name), Ok(value)) = (CString::new(name), CString::new(value)) else {
        return Err("a name or value with a NUL byte in it".to_owned());
    };
    let mut errstr = vec![0_u8; ERRSTR_SIZE];
    if set(name.as_ptr(), value.as_ptr(), errstr.as_mut_ptr().cast()) == ffi::CONF_OK {
        return Ok(());
    }
    let text = CStr::from_bytes_until_nul(&errstr).map(CStr::to_string_lossy);
    Err(text.unwrap_or_default().into_owned())
}
