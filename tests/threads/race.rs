//! A data race, so that `make check-threads` sees that it would find one.
#![crate_type = "cdylib"]

static mut COUNT: u64 = 0;

#[unsafe(no_mangle)]
pub extern "C" fn race() {
    for _ in 0..10_000 {
        // SAFETY: none. That is what this is about.
        unsafe {
            let count = std::ptr::addr_of_mut!(COUNT);
            count.write_volatile(count.read_volatile() + 1);
        }
    }
}
