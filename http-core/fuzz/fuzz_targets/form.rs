//! The fuzz target `form`: passes each input of libFuzzer to `http_core_fuzz::targets::form`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| http_core_fuzz::targets::form::check(data));
