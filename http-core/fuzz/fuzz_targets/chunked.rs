//! The fuzz target `chunked`: passes each input of libFuzzer to `http_core_fuzz::targets::chunked`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| http_core_fuzz::targets::chunked::check(data));
