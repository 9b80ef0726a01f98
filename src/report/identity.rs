//! Who this process is: what a registration says beside the client itself.

use std::ffi::CStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;

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

/// A host of containers has very many.
const MAX_ADDRESSES: usize = 16;

/// The addresses of this host that others may know it by, IPv4 first: neither loopback nor
/// link-local ones. The interfaces are asked, not a name server that may hang.
pub fn host_addresses() -> Vec<IpAddr> {
    let mut first = ptr::null_mut::<libc::ifaddrs>();
    // SAFETY: getifaddrs fills the pointer on success.
    if unsafe { libc::getifaddrs(&mut first) } != 0 {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut next = first;
    while !next.is_null() {
        // SAFETY: an entry of the list that getifaddrs made, freed only below.
        let entry = unsafe { &*next };
        found.extend(address_of(entry).filter(is_known_to_others));
        next = entry.ifa_next;
    }
    // SAFETY: the list as getifaddrs made it.
    unsafe { libc::freeifaddrs(first) };
    found.sort_by_key(IpAddr::is_ipv6);
    found.truncate(MAX_ADDRESSES);
    found
}

fn is_known_to_others(address: &IpAddr) -> bool {
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !address.is_loopback() && !is_link_local
}

fn address_of(entry: &libc::ifaddrs) -> Option<IpAddr> {
    let address = entry.ifa_addr;
    if address.is_null() {
        return None;
    }
    // SAFETY: not null, and every socket address begins with its family, which tells the type. It
    // may stand anywhere, so it is copied.
    unsafe {
        match i32::from((*address).sa_family) {
            libc::AF_INET => {
                let address = ptr::read_unaligned(address.cast::<libc::sockaddr_in>());
                Some(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)).into())
            }
            libc::AF_INET6 => {
                let address = ptr::read_unaligned(address.cast::<libc::sockaddr_in6>());
                Some(Ipv6Addr::from(address.sin6_addr.s6_addr).into())
            }
            _ => None,
        }
    }
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

/// A number from 0 to 1, by chance.
pub fn chance() -> f64 {
    let [chance, ..] = random_bytes();
    f64::from(chance) / 255.0
}

/// Random bytes; zeroes where the system has none to give.
fn random_bytes() -> [u8; 16] {
    let mut bytes = [0_u8; 16];
    // SAFETY: the buffer is valid for its length. It fails or is short only before the
    // system's generator is ready, which GRND_NONBLOCK does not wait for.
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), libc::GRND_NONBLOCK) };
    bytes
}
