//! Writes the media types of `mime_guess` as a text, which `src/mime.rs` contains.

use std::{collections::BTreeMap, env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    let extensions = mime_guess::get_extensions("*", "*").unwrap_or_default();
    let known = extensions.iter().filter_map(|extension| {
        let media_type = mime_guess::from_ext(extension).first_raw()?;
        Some((extension.to_ascii_lowercase(), media_type))
    });
    let lines = known.collect::<BTreeMap<_, _>>().into_iter();
    let text: String = lines.map(|(extension, media_type)| format!("{extension} {media_type}\n")).collect();
    fs::write(Path::new(&env::var("OUT_DIR")?).join("media_types"), text)?;
    Ok(())
}
