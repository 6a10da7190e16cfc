//! Files of keys.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = tracking::fuzzing::netrc(text);
});
