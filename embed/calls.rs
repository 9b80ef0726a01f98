//! One way for all calls of a function of glibc.
//!
//! The engine's C calls a function through one slot of the library and Rust through another, and
//! whoever opens the library pays for a look-up for each: for the functions below that is every fifth
//! one. So the linker sends both to a jump of ours, which is as long as the engine's own would be,
//! and the loader looks once.

use std::error::Error;
use std::fs;
use std::path::Path;

/// The functions that both call. One that is not on the list is looked up twice, and one too many
/// costs a look-up: `make bench` tells.
const SHARED: &[&str] = &[
    "__errno_location",
    "__xpg_strerror_r",
    "abort",
    "calloc",
    "clock_gettime",
    "close",
    "closedir",
    "connect",
    "dlsym",
    "fcntl",
    "fread",
    "free",
    "freeaddrinfo",
    "freeifaddrs",
    "ftruncate",
    "fwrite",
    "gai_strerror",
    "getaddrinfo",
    "getentropy",
    "getenv",
    "gethostname",
    "getifaddrs",
    "getpeername",
    "getpid",
    "getsockopt",
    "ioctl",
    "malloc",
    "memcmp",
    "memcpy",
    "memmove",
    "memset",
    "munmap",
    "open",
    "opendir",
    "poll",
    "posix_memalign",
    "pthread_attr_destroy",
    "pthread_attr_init",
    "pthread_create",
    "pthread_detach",
    "pthread_getspecific",
    "pthread_join",
    "pthread_key_create",
    "pthread_key_delete",
    "pthread_mutex_destroy",
    "pthread_mutex_init",
    "pthread_mutex_lock",
    "pthread_mutex_unlock",
    "pthread_once",
    "pthread_self",
    "pthread_setname_np",
    "pthread_setspecific",
    "pthread_sigmask",
    "read",
    "realloc",
    "recv",
    "secure_getenv",
    "send",
    "setsockopt",
    "shutdown",
    "sigemptyset",
    "sigfillset",
    "socket",
    "strcmp",
    "strdup",
    "strlen",
    "syscall",
    "write",
    "writev",
];

/// Sends all calls of these functions through one slot each.
pub fn share(out: &Path) -> Result<(), Box<dyn Error>> {
    let source = out.join("calls.c");
    let mut text = String::from(
        "#if defined(__x86_64__)\n\
         #define JUMP(name) \"jmp *__real_\" name \"@GOTPCREL(%rip)\\n\"\n\
         #elif defined(__aarch64__)\n\
         #define JUMP(name) \"adrp x16, :got:__real_\" name \"\\n\" \\\n\
         \"ldr x16, [x16, :got_lo12:__real_\" name \"]\\nbr x16\\n\"\n\
         #endif\n\
         #define SHARE(name) __asm__(\".text\\n.hidden __wrap_\" name \"\\n\" \\\n\
         \".globl __wrap_\" name \"\\n.type __wrap_\" name \", %function\\n\" \\\n\
         \"__wrap_\" name \":\\n.cfi_startproc\\n\" JUMP(name) \".cfi_endproc\\n\" \\\n\
         \".size __wrap_\" name \", . - __wrap_\" name \"\\n\");\n",
    );
    for function in SHARED {
        text.push_str(&format!("SHARE(\"{function}\")\n"));
        println!("cargo:rustc-cdylib-link-arg=-Wl,--wrap={function}");
    }
    fs::write(&source, text)?;
    cc::Build::new().file(&source).compile("superstream_calls");
    Ok(())
}
