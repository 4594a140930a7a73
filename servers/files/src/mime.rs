//! Media types and content codings by file name. The content of a file never decides them.
//!
//! `mime_guess` knows most extensions. [`OVERRIDES`] has what it lacks, and what IANA registers differently.

use crate::types::Types;
use std::{borrow::Cow, cmp::Ordering};

/// What the name of a file says about its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileType {
    /// The value of the Content-Type header.
    pub(super) media_type: Cow<'static, str>,
    /// The value of the Content-Encoding header, if the file is compressed as a whole.
    pub(super) coding: Option<&'static str>,
}

/// The media types of `mime_guess`: lines of an extension, a space and a media type, sorted by extension. A table of
/// strings would contain addresses, which the loader relocates: 140 kB of the program, and 60 kB of memory in each
/// process.
const GUESSED: &str = include_str!(concat!(env!("OUT_DIR"), "/media_types"));

/// Media types that replace those of `mime_guess`, or that it lacks, each with the extensions of its files.
const OVERRIDES: &[(&str, &[&str])] = &[
    // Registered at IANA for these extensions, by an RFC or by the owner of the format.
    ("application/fdf", &["fdf"]),
    ("application/gzip", &["tgz"]),
    ("application/json", &["map"]),
    ("application/mathml+xml", &["mml"]),
    ("application/mp4", &["m4p"]),
    ("application/node", &["cjs"]),
    ("application/pkcs12", &["p12", "pfx"]),
    ("application/pkix-cert", &["cer"]),
    ("application/smil+xml", &["smi"]),
    ("application/sql", &["sql"]),
    ("application/toml", &["toml"]),
    ("application/ttml+xml", &["ttml"]),
    ("application/vnd.apple.mpegurl", &["m3u8"]),
    ("application/vnd.comicbook+zip", &["cbz"]),
    ("application/vnd.comicbook-rar", &["cbr"]),
    ("application/vnd.debian.binary-package", &["deb", "udeb"]),
    ("application/vnd.ms-cab-compressed", &["cab"]),
    ("application/vnd.rar", &["rar"]),
    ("application/vnd.sqlite3", &["sqlite", "sqlite3"]),
    ("application/vnd.visio", &["vsdx"]),
    ("application/xfdf", &["xfdf"]),
    ("application/xliff+xml", &["xlf"]),
    ("application/xml-dtd", &["dtd"]),
    ("application/yaml", &["yaml", "yml"]),
    ("application/zstd", &["zst"]),
    ("audio/matroska", &["mka"]),
    ("audio/mp4", &["m4a", "m4b"]),
    ("font/otf", &["otf"]),
    ("font/woff", &["woff"]),
    ("image/aces", &["exr"]),
    ("image/avif", &["avifs"]),
    ("image/emf", &["emf"]),
    ("image/fits", &["fits"]),
    ("image/jpm", &["jpgm"]),
    ("image/ktx2", &["ktx2"]),
    ("image/vnd.adobe.photoshop", &["psd"]),
    ("image/vnd.dwg", &["dwg"]),
    ("image/vnd.dxf", &["dxf"]),
    ("image/wmf", &["wmf"]),
    ("model/3mf", &["3mf"]),
    ("model/mtl", &["mtl"]),
    ("model/obj", &["obj"]),
    ("model/step", &["step", "stp"]),
    ("model/stl", &["stl"]),
    ("model/vnd.dwf", &["dwf"]),
    ("model/vnd.usda", &["usda"]),
    ("model/vnd.usdz+zip", &["usdz"]),
    ("model/vrml", &["wrl", "wrz"]),
    ("model/x3d+fastinfoset", &["x3db", "x3dbz"]),
    ("model/x3d-vrml", &["x3dv", "x3dvz"]),
    ("text/javascript", &["mjs"]),
    ("text/markdown", &["mkd"]),
    ("text/troff", &["man", "me", "ms", "roff", "t", "tr"]),
    ("text/vcard", &["vcf"]),
    ("text/wgsl", &["wgsl"]),
    ("video/iso.segment", &["m4s"]),
    ("video/matroska", &["mkv"]),
    ("video/matroska-3d", &["mk3d"]),
    ("video/mp2t", &["m2t", "m2ts", "mts", "ts"]),
    ("video/mp4", &["m4v"]),
    // XML, which declares its own encoding.
    ("text/xml", &["opml", "sct", "wsc", "ymp"]),
    // Not registered; the names in use.
    ("application/jsonl", &["jsonl"]),
    ("application/x-ipynb+json", &["ipynb"]),
    ("application/x-ndjson", &["ndjson"]),
    ("application/x-rpm", &["rpm"]),
    ("application/x-wheel+zip", &["whl"]),
    // Source code: browsers show plain text, and many download any other type.
    (
        "text/plain",
        &[
            "bash",
            "clj",
            "dart",
            "diff",
            "erl",
            "ex",
            "fish",
            "go",
            "gradle",
            "hs",
            "java",
            "jl",
            "kt",
            "ml",
            "nix",
            "patch",
            "properties",
            "proto",
            "r",
            "rb",
            "rst",
            "scala",
            "svelte",
            "swift",
            "tsx",
            "vue",
            "zig",
            "zsh",
        ],
    ),
];

/// Text types registered at IANA, as the Content-Type says them. Without a charset are those whose files declare their
/// encoding themselves, because a charset would take precedence (RFC 7303 §3). Other text types are sent as text/plain.
const TEXT_TYPES: &[&str] = &[
    PLAIN,
    "text/cache-manifest; charset=utf-8",
    "text/calendar; charset=utf-8",
    "text/css",
    "text/csv; charset=utf-8",
    "text/html",
    "text/javascript",
    "text/markdown; charset=utf-8",
    "text/n3; charset=utf-8",
    "text/prs.lines.tag; charset=utf-8",
    "text/richtext; charset=utf-8",
    "text/sgml; charset=utf-8",
    "text/shex; charset=utf-8",
    "text/tab-separated-values; charset=utf-8",
    "text/troff; charset=utf-8",
    "text/turtle; charset=utf-8",
    "text/uri-list; charset=utf-8",
    "text/vcard; charset=utf-8",
    "text/vnd.curl; charset=utf-8",
    "text/vnd.dvb.subtitle; charset=utf-8",
    "text/vnd.fly; charset=utf-8",
    "text/vnd.fmi.flexstor; charset=utf-8",
    "text/vnd.graphviz; charset=utf-8",
    "text/vnd.in3d.3dml",
    "text/vnd.in3d.spot; charset=utf-8",
    "text/vnd.sun.j2me.app-descriptor; charset=utf-8",
    "text/vnd.wap.wml",
    "text/vnd.wap.wmlscript; charset=utf-8",
    "text/vtt; charset=utf-8",
    "text/wgsl; charset=utf-8",
    "text/xml",
];

/// Plain text. Browsers take text without a charset for windows-1252.
const PLAIN: &str = "text/plain; charset=utf-8";

/// Names of files without an extension that hold plain text.
const PLAIN_NAMES: &[&str] = &[
    "AUTHORS",
    "CHANGELOG",
    "CHANGES",
    "CONTRIBUTORS",
    "COPYING",
    "Dockerfile",
    "INSTALL",
    "LICENCE",
    "LICENSE",
    "MD5SUMS",
    "Makefile",
    "NEWS",
    "NOTICE",
    "README",
    "SHA256SUMS",
    "SHA512SUMS",
    "TODO",
    "VERSION",
];

/// Extensions of files that are gzip of the type that the extension names.
const GZIPPED: &[&str] = &["svgz", "wrz", "x3dbz", "x3dvz", "x3dz"];

/// The media type of a file that has no extension or an unknown one (RFC 9110 §8.3).
const UNKNOWN: &str = "application/octet-stream";

/// The charset in [`TEXT_TYPES`].
const UTF_8: &str = "; charset=utf-8";

/// Returns the type for the extension of `name`, which is the name or the path of a file. `types` are those that the
/// operator has chosen, which take precedence.
///
/// Upper and lower case make no difference: `a.JPG` is `image/jpeg`. If there is no extension, or an unknown one, the
/// media type is `text/plain` for a name such as `README`, else `application/octet-stream`.
///
/// Text types have the parameter `charset=utf-8`, except HTML, CSS, JavaScript and XML, which declare their encoding.
pub(super) fn file_type(name: &[u8], types: &Types) -> FileType {
    let name = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
    // A name need not be UTF-8, even if its extension is.
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
    let dot = name.iter().rposition(|&byte| byte == b'.');
    let extension = dot.map(|dot| text(&name[dot + 1..]));
    let known = || match extension {
        Some(extension) => known_type(extension),
        None => among(PLAIN_NAMES, text(name)).then_some(PLAIN),
    };
    let media_type = if let Some(chosen) = extension.and_then(|extension| types.of_extension(extension)) {
        chosen_type(chosen, types)
    } else if let Some(known) = known() {
        with_charset(known, types)
    } else {
        types.of_unknown().map_or(Cow::Borrowed(UNKNOWN), |chosen| chosen_type(chosen, types))
    };
    let is_gzipped = extension.is_some_and(|extension| among(GZIPPED, extension));
    FileType { media_type, coding: is_gzipped.then_some("gzip") }
}

/// Returns whether a name or an extension is one of `known`, without case.
fn among(known: &[&str], name: &str) -> bool {
    known.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Returns the Content-Type for an extension, with the charset of [`TEXT_TYPES`]; `None` if the extension is unknown.
fn known_type(extension: &str) -> Option<&'static str> {
    let media_type = match OVERRIDES.iter().find(|(_, extensions)| among(extensions, extension)) {
        Some((media_type, _)) => media_type,
        None => guessed(extension)?,
    };
    Some(if media_type.starts_with("text/") { text_type(media_type).unwrap_or(PLAIN) } else { media_type })
}

/// Returns the media type that `mime_guess` knows for an extension.
fn guessed(extension: &str) -> Option<&'static str> {
    let extension = extension.to_ascii_lowercase();
    let mut lines = GUESSED;
    while !lines.is_empty() {
        let (before, after) = lines.split_at(lines.len() / 2);
        let start = before.rfind('\n').map_or(0, |feed| feed + 1);
        let end = before.len() + after.find('\n')?;
        let (known, media_type) = lines[start..end].split_once(' ')?;
        match extension.as_str().cmp(known) {
            Ordering::Less => lines = &lines[..start],
            Ordering::Equal => return Some(media_type),
            Ordering::Greater => lines = &lines[end + 1..],
        }
    }
    None
}

/// Returns the Content-Type for a text type, if it is one of [`TEXT_TYPES`].
fn text_type(media_type: &str) -> Option<&'static str> {
    TEXT_TYPES.iter().copied().find(|sent| sent.split(';').next() == Some(media_type))
}

/// Replaces the charset of [`TEXT_TYPES`] by the operator's charset.
fn with_charset(media_type: &'static str, types: &Types) -> Cow<'static, str> {
    match (media_type.strip_suffix(UTF_8), types.charset.name()) {
        (None, _) | (_, Some("utf-8")) => Cow::Borrowed(media_type),
        (Some(essence), None) => Cow::Borrowed(essence),
        (Some(essence), Some(charset)) => Cow::Owned(format!("{essence}; charset={charset}")),
    }
}

/// Returns the Content-Type for a type that the operator has chosen: text without parameters gets a charset, unless it
/// declares its encoding.
fn chosen_type(media_type: &str, types: &Types) -> Cow<'static, str> {
    let is_text = media_type.starts_with("text/") && !media_type.contains(';');
    match (text_type(media_type), types.charset.name()) {
        (Some(sent), _) => with_charset(sent, types),
        (None, Some(charset)) if is_text => Cow::Owned(format!("{media_type}; charset={charset}")),
        _ => Cow::Owned(media_type.to_owned()),
    }
}

impl FileType {
    /// Returns whether compression makes files of this type smaller. Text does; images, videos and archives are
    /// compressed as a whole.
    pub(super) fn is_compressible(&self) -> bool {
        /// Types that are neither text nor JSON nor XML.
        const TYPES: &[&str] = &[
            "application/javascript",
            "application/json",
            "application/jsonl",
            "application/node",
            "application/sql",
            "application/toml",
            "application/vnd.apple.mpegurl",
            "application/vnd.ms-fontobject",
            "application/wasm",
            "application/x-ndjson",
            "application/xml",
            "application/xml-dtd",
            "application/yaml",
            "font/otf",
            "font/ttf",
            "image/bmp",
            "image/x-icon",
            "model/gltf-binary",
            "model/mtl",
            "model/obj",
            "model/stl",
        ];
        // An operator may have added parameters.
        let essence = self.media_type.split(';').next().unwrap_or_default().trim_end();
        self.coding.is_none()
            && (essence.starts_with("text/")
                || essence.ends_with("+json")
                || essence.ends_with("+xml")
                || TYPES.contains(&essence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "text/plain; charset=utf-8";

    #[test]
    fn the_name_decides_the_type() {
        for (expected, names) in [
            // Bare: the files declare their encoding, and the public suite asserts these types.
            ("text/html", "a.html a.htm"),
            ("text/css", "a.css"),
            ("text/javascript", "a.js a.mjs a.jsx"),
            ("text/xml", "a.xml a.xsl a.opml"),
            ("text/vnd.wap.wml", "a.wml"),
            // All other text has a charset.
            (TEXT, "a.txt text..txt a.log a.conf a.c a.h a.py a.go a.diff a.patch a.java a.rb a.tsx a.vue"),
            (TEXT, "README License COPYING SHA256SUMS d.d/README Makefile"),
            // Types that IANA does not register become plain text.
            (TEXT, "a.rs a.scss a.less a.lua a.coffee a.nfo a.pas a.f90"),
            ("text/markdown; charset=utf-8", "a.md a.markdown README.md"),
            ("text/csv; charset=utf-8", "a.csv"),
            ("text/calendar; charset=utf-8", "a.ics"),
            ("text/vcard; charset=utf-8", "a.vcf a.vcard"),
            ("text/vtt; charset=utf-8", "a.vtt"),
            ("text/troff; charset=utf-8", "a.roff a.man"),
            // RFC 9239; CommonJS is application/node.
            ("application/node", "a.cjs"),
            ("application/json", "a.json a.js.MAP"),
            ("application/jsonl", "a.jsonl"),
            ("application/x-ipynb+json", "a.ipynb"),
            ("application/manifest+json", "a.webmanifest"),
            ("application/geo+json", "a.geojson"),
            // RFC 9512.
            ("application/yaml", "a.yaml a.yml"),
            ("application/toml", "a.toml"),
            ("application/sql", "a.sql"),
            ("application/wasm", "a.wasm"),
            ("application/pdf", "a.pdf"),
            ("application/gzip", "a.tar.gz a.tgz"),
            // RFC 8878.
            ("application/zstd", "a.tar.zst"),
            ("application/zip", "a.zip"),
            ("application/vnd.rar", "a.rar"),
            ("application/vnd.debian.binary-package", "a.deb"),
            ("application/x-rpm", "a.rpm"),
            ("application/x-wheel+zip", "a-1.0-py3-none-any.whl"),
            ("application/x-shockwave-flash", "a.swf"),
            // RFC 8081.
            ("font/woff", "a.woff"),
            ("font/woff2", "a.woff2"),
            ("font/otf", "a.otf"),
            ("font/ttf", "a.ttf"),
            ("image/jpeg", "a.jpg A.JPEG"),
            ("image/png", "a.png"),
            ("image/gif", "a.gif"),
            ("image/webp", "a.webp"),
            ("image/avif", "a.avif a.avifs"),
            ("image/x-icon", "a.ico"),
            ("image/vnd.adobe.photoshop", "a.psd"),
            ("audio/mp4", "a.m4a"),
            ("video/mp4", "a.mp4 a.m4v"),
            ("video/iso.segment", "a.m4s"),
            ("application/dash+xml", "a.mpd"),
            // RFC 8216.
            ("application/vnd.apple.mpegurl", "a.m3u8"),
            // RFC 3555, and what Deno takes for TypeScript.
            ("video/mp2t", "a.ts a.mts"),
            // RFC 9559.
            ("video/matroska", "a.mkv"),
            ("model/obj", "a.obj"),
            ("model/mtl", "a.mtl"),
            ("model/stl", "a.stl"),
            ("model/step", "a.step"),
            ("model/vnd.usdz+zip", "a.usdz"),
            ("model/gltf-binary", "a.glb"),
            (UNKNOWN, "a.unheard-of html a. dir.txt/file .profile a.\u{fffd} "),
        ] {
            for name in names.split(' ') {
                let is = file_type(name.as_bytes(), &Types::default());
                assert_eq!(is, FileType { media_type: expected.into(), coding: None }, "{name}");
            }
        }
        assert_eq!(file_type(b"a.\xff", &Types::default()).media_type, UNKNOWN);
        assert_eq!(file_type(b"\xff.txt", &Types::default()).media_type, TEXT);
    }

    #[test]
    fn finds_each_line() {
        for line in GUESSED.lines() {
            let (extension, media_type) = line.split_once(' ').unwrap();
            assert_eq!(guessed(&extension.to_ascii_uppercase()), Some(media_type), "{extension}");
        }
        for unknown in ["", "0", "htmm", "zzzz", "html text"] {
            assert_eq!(guessed(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn compressed_formats_have_a_coding() {
        for (name, media_type) in
            [("a.svgz", "image/svg+xml"), ("A.SVGZ", "image/svg+xml"), ("a.wrz", "model/vrml")]
        {
            let expected = FileType { media_type: media_type.into(), coding: Some("gzip") };
            assert_eq!(file_type(name.as_bytes(), &Types::default()), expected, "{name}");
        }
        assert_eq!(file_type(b"a.svg", &Types::default()).coding, None);
    }

    #[test]
    fn an_operator_may_choose_types_and_the_charset() {
        let check = |charset: &str, expected: &[(&str, &str)]| {
            let mut types = Types::default();
            let list = "text/x-log LOG\ntext/html shtml\nimage/x-a svgz js";
            types.add_list(list).expect("a list");
            types.default = "text/plain".parse().ok();
            types.charset = charset.parse().expect("a charset");
            types.add("txt=text/plain; charset=iso-8859-1".parse().expect("a type"));
            for (name, expected) in expected {
                assert_eq!(file_type(name.as_bytes(), &types).media_type, *expected, "{charset} {name}");
            }
        };
        check(
            "utf-8",
            &[
                ("a.log", "text/x-log; charset=utf-8"),
                ("a.LOG", "text/x-log; charset=utf-8"),
                ("a.shtml", "text/html"),
                ("a.svgz", "image/x-a"),
                ("a.js", "image/x-a"),
                ("a.txt", "text/plain; charset=iso-8859-1"),
                ("a.md", "text/markdown; charset=utf-8"),
                ("a.unheard-of", TEXT),
                ("a", TEXT),
                ("README", TEXT),
            ],
        );
        check(
            "Big5",
            &[
                ("a.log", "text/x-log; charset=Big5"),
                ("a.html", "text/html"),
                ("a.md", "text/markdown; charset=Big5"),
                ("a.txt", "text/plain; charset=iso-8859-1"),
                ("a", "text/plain; charset=Big5"),
                ("a.png", "image/png"),
            ],
        );
        check(
            "off",
            &[
                ("a.log", "text/x-log"),
                ("a.md", "text/markdown"),
                ("a.txt", "text/plain; charset=iso-8859-1"),
                ("README", "text/plain"),
                ("a.html", "text/html"),
            ],
        );
    }

    #[test]
    fn text_is_compressible() {
        for (expected, names) in [
            (
                true,
                "a.html a.css a.js a.json a.map a.svg a.xml a.txt a.wasm a.ttf a.otf a.webmanifest a.ico README",
            ),
            (false, "a.svgz a.png a.jpg a.woff a.woff2 a.gz a.zip a.mp4 a.pdf a.bin a"),
        ] {
            for name in names.split(' ') {
                assert_eq!(
                    file_type(name.as_bytes(), &Types::default()).is_compressible(),
                    expected,
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn every_extension_is_in_one_override() {
        let mut extensions: Vec<_> = OVERRIDES.iter().flat_map(|(_, extensions)| *extensions).collect();
        extensions.sort_unstable();
        let count = extensions.len();
        extensions.dedup();
        assert_eq!(extensions.len(), count);
    }
}
