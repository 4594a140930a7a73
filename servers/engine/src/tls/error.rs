//! Why a server cannot use TLS as it is told to.

use std::{fmt, io, path::PathBuf};

/// Why TLS cannot be set up. Its `Display` output names the file and what is wrong with it.
///
/// ```
/// use http_engine::tls::Certificate;
///
/// let error = Certificate::from_pem(b"", b"").expect_err("nothing is no certificate");
/// assert_eq!(error.to_string(), "cannot use the certificate in memory: it contains no certificate");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// This file cannot be read.
    Read(PathBuf, io::Error),
    /// This file contains no certificate (false), or no private key (true).
    Missing(Source, bool),
    /// At this line of the file, something is not what it should be.
    Malformed(Source, usize, String),
    /// The private key of the second file does not belong to the first certificate of the first file.
    Mismatch(Source, Source),
    /// The private key in this file is of a kind that TLS cannot use.
    Key(Source, String),
    /// The processor lacks instructions that the cryptography needs.
    Processor,
    /// The settings make no sense.
    Settings(String),
}

/// Where a certificate or a key comes from: a file, or memory.
///
/// ```
/// use http_engine::tls::Source;
///
/// assert_eq!(Source(Some("chain.pem".into())).to_string(), "chain.pem");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source(pub Option<PathBuf>);

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(path) => path.display().fmt(f),
            None => f.write_str("in memory"),
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::Read(path, error) => {
                write!(f, "cannot read the PEM file {}: {}", path.display(), http_core::io_cause(error))
            }
            TlsError::Missing(source, false) => {
                write!(f, "cannot use the certificate {source}: it contains no certificate")
            }
            TlsError::Missing(source, true) => {
                write!(f, "cannot use the private key {source}: it contains no private key")
            }
            TlsError::Malformed(source, line, cause) => write!(f, "cannot use {source}, line {line}: {cause}"),
            TlsError::Mismatch(chain, key) => write!(
                f,
                "cannot use the private key {key}: it does not belong to the first certificate of {chain} (the \
                 certificate of the server must come before those of its issuers)"
            ),
            TlsError::Key(source, cause) => write!(f, "cannot use the private key {source}: {cause}"),
            TlsError::Processor => f.write_str(
                "cannot use TLS on this processor: it needs AES-NI, PCLMULQDQ, AVX2, ADX and BMI1 on x86_64, or the \
                 cryptography extension on aarch64 (the feature `tls-ring` of http-engine needs none of them)",
            ),
            TlsError::Settings(cause) => write!(f, "cannot use the TLS settings: {cause}"),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            TlsError::Read(_, error) => Some(error),
            _ => None,
        }
    }
}
