//! JSON that is checked and never rebuilt: what is said back has the same members in the same order, twice if they
//! came twice, and the same digits in every number (RFC 8259).

use super::{malformed, place, text};
use crate::Problem;
use serde::de::IgnoredAny;

/// Arrays and objects within each other. Checking takes no stack, but who reads the answer may need it.
const MAX_DEPTH: usize = 128;

/// The content as text, without white space around it, if it is one JSON value.
///
/// # Errors
///
/// 400 that says where, if it is none or nests too deeply.
pub(super) fn sound(content: &[u8]) -> Result<&str, Problem> {
    let text = text(content)?;
    serde_json::from_str::<IgnoredAny>(text)
        .map_err(|error| malformed(format!("malformed JSON: {error}")))?;
    match beyond_depth(text) {
        Some(offset) => {
            let place = place(content, offset);
            Err(malformed(format!("JSON nested deeper than {MAX_DEPTH} levels at {place}")))
        }
        None => Ok(text.trim_ascii()),
    }
}

/// The offset of the bracket that opens one level too many. For sound JSON, where a backslash stands in strings only.
fn beyond_depth(json: &str) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    json.bytes().position(|octet| {
        match octet {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > MAX_DEPTH
    })
}
