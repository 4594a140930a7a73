//! A form is decoded as the URL Standard says, whatever its bytes are.
//!
//! Property: for any bytes, `form::pairs` does not panic, and its names and values are those of a decoder that reads
//! one byte at a time. Encoded and decoded again, they are the same. Two forms joined by `&` have the pairs of both.
//!
//! Input: the form.

use http_core::form;

/// Checks the property of this target for one input.
pub fn check(data: &[u8]) {
    let pairs = decode(data);
    assert_eq!(pairs, oracle(data));
    assert_eq!(decode(&encode(&pairs)), pairs, "encoded again, the form is another one");
    let twice = [data, b"&", data].concat();
    assert_eq!(decode(&twice), [&pairs[..], &pairs].concat(), "two forms are not the sum of both");
}

type Pairs = Vec<(String, String)>;

fn decode(form: &[u8]) -> Pairs {
    form::pairs(form).map(|(name, value)| (String::from(name), String::from(value))).collect()
}

/// Decodes as URL Standard §5.1 says, one byte at a time.
fn oracle(form: &[u8]) -> Pairs {
    let (mut pairs, mut rest) = (Vec::new(), form.iter().copied().peekable());
    while rest.peek().is_some() {
        let (mut texts, mut at, mut is_empty) = ([Vec::new(), Vec::new()], 0, true);
        while let Some(byte) = rest.next().filter(|&byte| byte != b'&') {
            is_empty = false;
            match byte {
                b'=' if at == 0 => at = 1,
                b'+' => texts[at].push(b' '),
                b'%' => {
                    let mut ahead = rest.clone();
                    let mut digit = || ahead.next().and_then(|byte| char::from(byte).to_digit(16));
                    match digit().zip(digit()) {
                        Some((high, low)) => {
                            texts[at].push((high * 16 + low) as u8);
                            rest = ahead;
                        }
                        None => texts[at].push(b'%'),
                    }
                }
                byte => texts[at].push(byte),
            }
        }
        if !is_empty {
            pairs.push(<(String, String)>::from(
                texts.map(|text| String::from_utf8_lossy(&text).into_owned()),
            ));
        }
    }
    pairs
}

/// Encodes all bytes but letters and digits.
fn encode(pairs: &[(String, String)]) -> Vec<u8> {
    let encoded = |text: &str| -> String {
        let byte = |byte: u8| match byte {
            b' ' => "+".to_owned(),
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02x}"),
        };
        text.bytes().map(byte).collect()
    };
    let pairs: Vec<_> =
        pairs.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&").into_bytes()
}
