//! Who this process is: what a registration says beside the client itself.

use std::ffi::CStr;

/// The host's name; empty where it has none that can be read.
pub fn host_name() -> String {
    let mut name = [0_u8; 256];
    // SAFETY: the buffer is valid for its length; one byte is kept for the NUL.
    let result = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    if result != 0 {
        return String::new();
    }
    CStr::from_bytes_until_nul(&name)
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// An address of this host that others may know it by: the first IPv4 address that is not a
/// loopback one, or empty. The interfaces are asked, not a name server that may hang.
pub fn host_address() -> String {
    let mut first = std::ptr::null_mut::<libc::ifaddrs>();
    // SAFETY: getifaddrs fills the pointer on success.
    if unsafe { libc::getifaddrs(&mut first) } != 0 {
        return String::new();
    }
    let mut found = String::new();
    let mut next = first;
    while found.is_empty() && !next.is_null() {
        // SAFETY: an entry of the list that getifaddrs made, freed only below.
        let entry = unsafe { &*next };
        if let Some(address) = ipv4_of(entry)
            && !address.is_loopback()
            && !address.is_link_local()
        {
            found = address.to_string();
        }
        next = entry.ifa_next;
    }
    // SAFETY: the list as getifaddrs made it.
    unsafe { libc::freeifaddrs(first) };
    found
}

fn ipv4_of(entry: &libc::ifaddrs) -> Option<std::net::Ipv4Addr> {
    if entry.ifa_addr.is_null() {
        return None;
    }
    // SAFETY: not null, and every socket address begins with its family.
    let family = i32::from(unsafe { (*entry.ifa_addr).sa_family });
    if family != libc::AF_INET {
        return None;
    }
    // SAFETY: of the family AF_INET, so a sockaddr_in. It may stand anywhere, so it is copied.
    let address = unsafe { std::ptr::read_unaligned(entry.ifa_addr.cast::<libc::sockaddr_in>()) };
    Some(std::net::Ipv4Addr::from(u32::from_be(
        address.sin_addr.s_addr,
    )))
}

/// A name that no other registration has: 128 random bits in hexadecimal. Where the system has
/// none to give, the process and a counter tell registrations of one host apart.
pub fn registration_id() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNTER: AtomicU64 = AtomicU64::new(0);

    let bytes = random_bytes();
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let random: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{random}-{}-{count}", std::process::id())
}

/// Random bytes; zeroes where the system has none to give.
pub fn random_bytes() -> [u8; 16] {
    let mut bytes = [0_u8; 16];
    // SAFETY: the buffer is valid for its length. It fails or is short only before the
    // system's generator is ready, which GRND_NONBLOCK does not wait for.
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), libc::GRND_NONBLOCK) };
    bytes
}
