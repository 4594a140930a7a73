//! The fuzz target `head`: passes each input of libFuzzer to `http_core_fuzz::targets::head`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| http_core_fuzz::targets::head::check(data));
