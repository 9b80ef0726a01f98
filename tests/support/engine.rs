//! One librdkafka, loaded beside others, for tests that compare what two of them do.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;

type New = unsafe extern "C" fn(c_int, *mut c_void, *mut c_char, usize) -> *mut c_void;
type Set =
    unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char, *mut c_char, usize) -> c_int;
type TopicNew = unsafe extern "C" fn(*mut c_void, *const c_char, *mut c_void) -> *mut c_void;
type Dump = unsafe extern "C" fn(*mut c_void, *mut usize) -> *mut *const c_char;

/// A loaded librdkafka.
pub struct Loaded {
    handle: *mut c_void,
    /// `superstream_interpose()`, where the library has no Superstream inside.
    interpose: Option<Interpose>,
}

type Interpose = unsafe extern "C" fn(*const c_char, *mut c_void) -> *mut c_void;

/// Properties and their values, in the order in which an application sets them.
pub type Properties = Vec<(String, String)>;

/// What an application does: create a client, then topics with configurations of their own.
#[derive(Clone, Debug)]
pub struct Application {
    /// `RD_KAFKA_PRODUCER` is 0, `RD_KAFKA_CONSUMER` 1.
    pub kind: c_int,
    pub conf: Properties,
    pub default_topic_conf: Option<Properties>,
    pub topics: Vec<Properties>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Which settings the engine took.
    pub taken: Vec<c_int>,
    pub created: Result<Created, Failed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// `rd_kafka_conf_dump()` of the running client.
    pub effective: BTreeMap<String, String>,
    /// Which topics were made.
    pub topics: Vec<bool>,
    pub last_error: c_int,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub errstr: String,
    pub last_error: c_int,
    pub errno: c_int,
}

impl Loaded {
    pub fn open(library: &Path) -> Self {
        let name = CString::new(library.to_str().unwrap()).unwrap();
        // SAFETY: a C string; the library's constructors are librdkafka's.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!handle.is_null(), "cannot load {}", library.display());
        Self {
            handle,
            interpose: None,
        }
    }

    /// The same with the preload library in front of it, as a binding meets it that fetches its
    /// functions by `dlsym`.
    pub fn open_behind(preload: &Path, library: &Path) -> Self {
        let preload = Self::open(preload);
        Self {
            // SAFETY: the type that the library documents.
            interpose: Some(unsafe { preload.function(c"superstream_interpose") }),
            ..Self::open(library)
        }
    }

    /// A function of this library, by librdkafka's name.
    ///
    /// # Safety
    /// `F` is the function's type.
    unsafe fn function<F: Copy>(&self, name: &CStr) -> F {
        // SAFETY: a loaded library and a C string.
        let mut symbol = unsafe { libc::dlsym(self.handle, name.as_ptr()) };
        assert!(!symbol.is_null(), "{name:?} is missing");
        if let Some(interpose) = self.interpose {
            // SAFETY: what dlsym found under this name.
            symbol = unsafe { interpose(name.as_ptr(), symbol) };
        }
        assert_eq!(size_of::<F>(), size_of_val(&symbol));
        // SAFETY: a function pointer of the type that the caller vouches for.
        unsafe { std::mem::transmute_copy(&symbol) }
    }

    /// Does what the application does, and cleans up after it.
    pub fn run(&self, application: &Application) -> Outcome {
        // SAFETY: librdkafka's own functions with their own types, called as it documents.
        unsafe {
            let conf_new: unsafe extern "C" fn() -> *mut c_void =
                self.function(c"rd_kafka_conf_new");
            let conf_destroy: unsafe extern "C" fn(*mut c_void) =
                self.function(c"rd_kafka_conf_destroy");
            let topic_conf_new: unsafe extern "C" fn() -> *mut c_void =
                self.function(c"rd_kafka_topic_conf_new");
            let set_default: unsafe extern "C" fn(*mut c_void, *mut c_void) =
                self.function(c"rd_kafka_conf_set_default_topic_conf");
            let conf_set: Set = self.function(c"rd_kafka_conf_set");
            let topic_conf_set: Set = self.function(c"rd_kafka_topic_conf_set");
            let new: New = self.function(c"rd_kafka_new");
            let topic_new: TopicNew = self.function(c"rd_kafka_topic_new");
            let topic_destroy: unsafe extern "C" fn(*mut c_void) =
                self.function(c"rd_kafka_topic_destroy");
            let destroy: unsafe extern "C" fn(*mut c_void) = self.function(c"rd_kafka_destroy");
            let last_error: unsafe extern "C" fn() -> c_int = self.function(c"rd_kafka_last_error");

            let conf = conf_new();
            let mut taken = Vec::new();
            if let Some(properties) = &application.default_topic_conf {
                let topic = topic_conf_new();
                taken.extend(set_all(topic_conf_set, topic, properties));
                set_default(conf, topic);
            }
            taken.extend(set_all(conf_set, conf, &application.conf));

            let mut errstr = [0_u8; 1024];
            *libc::__errno_location() = 0;
            let client = new(
                application.kind,
                conf,
                errstr.as_mut_ptr().cast(),
                errstr.len(),
            );
            let errno = *libc::__errno_location();
            if client.is_null() {
                let failed = Failed {
                    errstr: text(errstr.as_ptr().cast()),
                    last_error: last_error(),
                    errno,
                };
                conf_destroy(conf);
                return Outcome {
                    taken,
                    created: Err(failed),
                };
            }
            let last = last_error();
            let mut topics = Vec::new();
            for (number, properties) in application.topics.iter().enumerate() {
                let topic_conf = topic_conf_new();
                taken.extend(set_all(topic_conf_set, topic_conf, properties));
                let name = CString::new(format!("t{number}")).unwrap();
                let topic = topic_new(client, name.as_ptr(), topic_conf);
                topics.push(!topic.is_null());
                if !topic.is_null() {
                    topic_destroy(topic);
                }
            }
            let effective = self.effective(client);
            destroy(client);
            Outcome {
                taken,
                created: Ok(Created {
                    effective,
                    topics,
                    last_error: last,
                }),
            }
        }
    }

    /// # Safety
    /// `client` is a client of this library.
    unsafe fn effective(&self, client: *mut c_void) -> BTreeMap<String, String> {
        // SAFETY: a loaded library and a C string.
        if unsafe { libc::dlsym(self.handle, c"rd_kafka_conf".as_ptr()) }.is_null() {
            // Engines before 1.5 do not tell.
            return BTreeMap::new();
        }
        // SAFETY: as in `run`.
        unsafe {
            let conf: unsafe extern "C" fn(*mut c_void) -> *mut c_void =
                self.function(c"rd_kafka_conf");
            let dump: Dump = self.function(c"rd_kafka_conf_dump");
            let free: unsafe extern "C" fn(*mut *const c_char, usize) =
                self.function(c"rd_kafka_conf_dump_free");
            let mut count = 0;
            let array = dump(conf(client), &mut count);
            let effective = (0..count / 2)
                .map(|pair| (text(*array.add(2 * pair)), text(*array.add(2 * pair + 1))))
                .collect();
            free(array, count);
            effective
        }
    }
}

/// # Safety
/// `set` takes `conf`.
unsafe fn set_all(set: Set, conf: *mut c_void, properties: &Properties) -> Vec<c_int> {
    let set_one = |(name, value): &(String, String)| {
        let name = CString::new(name.as_str()).unwrap();
        let value = CString::new(value.as_str()).unwrap();
        // SAFETY: C strings, and no room for an error text.
        unsafe { set(conf, name.as_ptr(), value.as_ptr(), ptr::null_mut(), 0) }
    };
    properties.iter().map(set_one).collect()
}

/// # Safety
/// `at` is a C string.
unsafe fn text(at: *const c_char) -> String {
    // SAFETY: the caller's word.
    unsafe { CStr::from_ptr(at) }.to_string_lossy().into_owned()
}
