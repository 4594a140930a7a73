//! The fuzz target `path`: passes each input of libFuzzer to `http_core_fuzz::targets::path`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| http_core_fuzz::targets::path::check(data));
