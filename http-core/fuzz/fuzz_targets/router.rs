//! The fuzz target `router`: passes each input of libFuzzer to `http_core_fuzz::targets::router`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| http_core_fuzz::targets::router::check(data));
