//! The fuzz target `connection`: passes each input of libFuzzer to `http_core_fuzz::targets::connection`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| http_core_fuzz::targets::connection::check(data));
