//! Forms as JSON.

use super::{malformed, text};
use crate::Problem;
use http_engine::{
    MediaType, form,
    multipart::{self, Fault},
};
use serde_json::{Map, Value, json};

/// An object of strings in the order of the form. A name that comes again has an array of them.
pub(super) fn url_encoded(content: &[u8]) -> Value {
    let mut members = Map::new();
    for (name, value) in form::pairs(content) {
        match members.get_mut(&name) {
            Some(Value::Array(values)) => values.push(value.into()),
            Some(first) => *first = json!([first.take(), value]),
            None => drop(members.insert(name, value.into())),
        }
    }
    members.into()
}

/// Fields with their values, files with their names, types and sizes in bytes, both in the order of the form.
///
/// # Errors
///
/// 400 if the form is malformed or a field is not UTF-8.
pub(super) fn multipart(content: &[u8], media_type: &MediaType<'_>) -> Result<Value, Problem> {
    let (mut fields, mut files) = (Vec::new(), Vec::new());
    for part in multipart::parts(media_type, content).map_err(told)? {
        let part = part.map_err(told)?;
        match part.file_name {
            None => fields.push(json!({ "name": part.name, "value": text(part.content)? })),
            Some(file_name) => files.push(json!({
                "name": part.name,
                "file_name": file_name,
                // RFC 7578 §4.4: what is not said is text/plain.
                "type": part.media_type.map_or("text/plain".to_owned(), |media_type| media_type.to_string()),
                "size": part.content.len(),
            })),
        }
    }
    Ok(json!({ "fields": fields, "files": files }))
}

fn told(fault: Fault) -> Problem {
    let problem = malformed(format!("malformed form: {fault}"));
    if fault == Fault::Boundary { problem.about("Content-Type") } else { problem }
}
