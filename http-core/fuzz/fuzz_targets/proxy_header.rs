//! The fuzz target `proxy_header`: passes each input of libFuzzer to `http_core_fuzz::targets::proxy_header`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| http_core_fuzz::targets::proxy_header::check(data));
