//! The fuzz target `multipart`: passes each input of libFuzzer to `http_core_fuzz::targets::multipart`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| http_core_fuzz::targets::multipart::check(data));
