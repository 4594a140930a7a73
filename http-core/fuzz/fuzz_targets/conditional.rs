//! The fuzz target `conditional`: passes each input of libFuzzer to `http_core_fuzz::targets::conditional`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| http_core_fuzz::targets::conditional::check(data));
