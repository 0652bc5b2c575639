#![no_main]

#[expect(dead_code, reason = "each target calls one property")]
#[path = "../properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::page_chunks(bytes));
