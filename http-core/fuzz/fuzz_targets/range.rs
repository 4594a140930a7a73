//! The fuzz target `range`: passes each input of libFuzzer to `http_core_fuzz::targets::range`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| http_core_fuzz::targets::range::check(data));
