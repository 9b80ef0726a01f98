//! The service over Veltix, met as the library meets it.

mod death;
mod instances;
mod many;
mod peer;
mod push;
mod stop;
mod talk;
