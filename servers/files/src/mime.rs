//! Media types and content codings by file name. The content of a file never decides them.
//!
//! `mime_guess` knows most extensions. [`OVERRIDES`] has what it lacks, and what IANA registers differently.

/// What the name of a file says about its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileType {
    /// The value of the Content-Type header.
    pub(super) media_type: &'static str,
    /// The value of the Content-Encoding header, if the file is compressed as a whole.
    pub(super) coding: Option<&'static str>,
}

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

/// Returns the type for the extension of `name`, which is the name or the path of a file.
///
/// Upper and lower case make no difference: `a.JPG` is `image/jpeg`. If there is no extension, or an unknown one, the
/// media type is `text/plain` for a name such as `README`, else `application/octet-stream`.
///
/// Text types have the parameter `charset=utf-8`, except HTML, CSS, JavaScript and XML, which declare their encoding.
pub(super) fn file_type(name: &[u8]) -> FileType {
    let name = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
    let name = std::str::from_utf8(name).unwrap_or_default();
    let among = |known: &[&str], name: &str| known.iter().any(|known| known.eq_ignore_ascii_case(name));
    let Some((_, extension)) = name.rsplit_once('.') else {
        let media_type = if among(PLAIN_NAMES, name) { PLAIN } else { UNKNOWN };
        return FileType { media_type, coding: None };
    };
    let coding = among(GZIPPED, extension).then_some("gzip");
    let media_type = match OVERRIDES.iter().find(|(_, extensions)| among(extensions, extension)) {
        Some((media_type, _)) => media_type,
        None => mime_guess::from_ext(extension).first_raw().unwrap_or(UNKNOWN),
    };
    if !media_type.starts_with("text/") {
        return FileType { media_type, coding };
    }
    let is_sent_for = |sent: &&&str| sent.split(';').next() == Some(media_type);
    FileType { media_type: TEXT_TYPES.iter().find(is_sent_for).unwrap_or(&PLAIN), coding }
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
                let is = file_type(name.as_bytes());
                assert_eq!(is, FileType { media_type: expected, coding: None }, "{name}");
            }
        }
        assert_eq!(file_type(b"a.\xff").media_type, UNKNOWN);
    }

    #[test]
    fn compressed_formats_have_a_coding() {
        for (name, media_type) in
            [("a.svgz", "image/svg+xml"), ("A.SVGZ", "image/svg+xml"), ("a.wrz", "model/vrml")]
        {
            assert_eq!(file_type(name.as_bytes()), FileType { media_type, coding: Some("gzip") }, "{name}");
        }
        assert_eq!(file_type(b"a.svg").coding, None);
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
