//! The fuzz target `client`: passes each input of libFuzzer to `http_core_fuzz::targets::client`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| http_core_fuzz::targets::client::check(data));
