//! Certificates and private keys: reads them from PEM, and says what is wrong with them.

use super::{TlsError, crypto_provider, error::Source};
use rustls::{
    RootCertStore,
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName,
        pem::{self, PemObject, SectionKind},
    },
    sign::{CertifiedKey, SigningKey},
};
use std::{
    fs, io,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A server's certificate, with those of its issuers and its private key. Cloning is cheap.
///
/// ```no_run
/// use http_engine::tls::Certificate;
///
/// let certificate = Certificate::load("chain.pem", "key.pem")?;
/// println!("{:?} until {:?}", certificate.names(), certificate.not_after());
/// # Ok::<(), http_engine::tls::TlsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    source: Source,
    names: Arc<[String]>,
    validity: (SystemTime, SystemTime),
}

impl Certificate {
    /// Reads a chain of certificates, the server's first, and the private key from PEM files. They may be the same
    /// file. The key may be in the form PKCS #8, PKCS #1 (RSA) or SEC1 (EC), without a passphrase.
    ///
    /// # Errors
    ///
    /// A file cannot be read, is malformed, or the key does not belong to the certificate ([`TlsError`]).
    pub fn load(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Certificate, TlsError> {
        let (chain, key) = (chain.as_ref(), key.as_ref());
        Certificate::parse(&read(chain)?, &source(chain), &read(key)?, &source(key))
    }

    /// As [`load`](Certificate::load), from PEM in memory.
    ///
    /// # Errors
    ///
    /// As of [`load`](Certificate::load).
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Certificate, TlsError> {
        Certificate::parse(chain, &Source::default(), key, &Source::default())
    }

    fn parse(chain: &[u8], chain_at: &Source, key: &[u8], key_at: &Source) -> Result<Certificate, TlsError> {
        let mut certificates = Vec::new();
        for (line, kind, der) in sections(chain, chain_at)? {
            if kind == SectionKind::Certificate {
                let der = CertificateDer::from(der);
                let malformed = |error| {
                    let cause = match error {
                        webpki::Error::UnsupportedCertVersion => {
                            "the certificate does not have version 3 (issue it with extensions)"
                        }
                        _ => "the certificate is malformed",
                    };
                    TlsError::Malformed(chain_at.clone(), line, cause.to_owned())
                };
                webpki::EndEntityCert::try_from(&der).map_err(malformed)?;
                certificates.push((line, der));
            }
        }
        let Some((line, first)) = certificates.first() else {
            return Err(TlsError::Missing(chain_at.clone(), false));
        };
        let validity = validity(first).ok_or_else(|| {
            TlsError::Malformed(chain_at.clone(), *line, "the certificate has no valid times".to_owned())
        })?;
        let names = webpki::EndEntityCert::try_from(first)
            .map(|certificate| certificate.valid_dns_names().map(str::to_owned).collect())
            .unwrap_or_default();
        let key = load_key(key, key_at)?;
        let chain = certificates.into_iter().map(|(_, der)| der).collect();
        let key = CertifiedKey::new(chain, key);
        key.keys_match().map_err(|_| TlsError::Mismatch(chain_at.clone(), key_at.clone()))?;
        Ok(Certificate { key: Arc::new(key), source: chain_at.clone(), names, validity })
    }

    /// Returns the DNS names that the certificate is for (subjectAltName).
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether the certificate is for this DNS name or IP address (RFC 9525 §6).
    pub fn is_for(&self, host: &str) -> bool {
        let (Ok(host), Some(first)) = (ServerName::try_from(host), self.key.cert.first()) else {
            return false;
        };
        let first = webpki::EndEntityCert::try_from(first);
        first.is_ok_and(|certificate| certificate.verify_is_valid_for_subject_name(&host).is_ok())
    }

    /// Returns the time from which the certificate is valid.
    pub fn not_before(&self) -> SystemTime {
        self.validity.0
    }

    /// Returns the time after which the certificate is not valid.
    pub fn not_after(&self) -> SystemTime {
        self.validity.1
    }

    /// Returns where the certificate comes from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Returns a message if the certificate is not valid at the time `now`.
    pub(super) fn problem(&self, now: SystemTime) -> Option<String> {
        let (problem, remedy) = match self.validity {
            (not_before, _) if now < not_before => ("is not valid yet", "check the clock of this machine"),
            (_, not_after) if now > not_after => ("has expired", "replace it"),
            _ => return None,
        };
        Some(format!("the certificate {} {problem}: clients will reject it ({remedy})", self.source))
    }
}

/// Reads a private key from PEM.
fn load_key(text: &[u8], at: &Source) -> Result<Arc<dyn SigningKey>, TlsError> {
    let unusable = |cause: &str| TlsError::Key(at.clone(), cause.to_owned());
    let is_key = |(_, kind, der)| PrivateKeyDer::from_pem(kind, der);
    let key = match sections(text, at).map(|sections| sections.into_iter().find_map(is_key)) {
        Ok(Some(key)) => key,
        // In PKCS #8, and in the older forms.
        _ if contains(text, b"-----BEGIN ENCRYPTED") || contains(text, b"Proc-Type: 4,ENCRYPTED") => {
            return Err(unusable("it is encrypted (remove its passphrase: openssl pkey -in OLD -out NEW)"));
        }
        Ok(None) => return Err(TlsError::Missing(at.clone(), true)),
        Err(error) => return Err(error),
    };
    crypto_provider()?.key_provider.load_private_key(key).map_err(|_| {
        unusable("it is malformed, or not ECDSA with P-256 or P-384, Ed25519, or RSA from 2048 bits on")
    })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Reads the certificates of authorities from a PEM file.
pub(super) fn load_authorities(path: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let (text, at) = (read(path)?, source(path));
    let mut authorities = RootCertStore::empty();
    for (line, kind, der) in sections(&text, &at)? {
        if kind == SectionKind::Certificate {
            let added = authorities.add(CertificateDer::from(der));
            added.map_err(|error| TlsError::Malformed(at.clone(), line, error.to_string()))?;
        }
    }
    if authorities.is_empty() { Err(TlsError::Missing(at, false)) } else { Ok(Arc::new(authorities)) }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    // Opening a FIFO waits for a writer, and a device such as /dev/zero has no end.
    let read = fs::metadata(path).and_then(|metadata| match metadata.is_file() {
        true => fs::read(path),
        false => Err(io::Error::other("not a regular file")),
    });
    read.map_err(|error| TlsError::Read(path.to_owned(), error))
}

fn source(path: &Path) -> Source {
    Source(Some(path.to_owned()))
}

/// Reads the sections of a PEM file, each with the line where it begins.
fn sections(text: &[u8], at: &Source) -> Result<Vec<(usize, SectionKind, Vec<u8>)>, TlsError> {
    let newlines = |text: &[u8]| text.iter().filter(|&&byte| byte == b'\n').count();
    let (mut sections, mut rest, mut line) = (Vec::new(), text, 1);
    loop {
        // What comes before a section is a comment.
        let (comment, begun) =
            rest.split_at(rest.windows(5).position(|window| window == b"-----").unwrap_or(0));
        line += newlines(comment);
        let mut iter = pem::SliceIter::<(SectionKind, Vec<u8>)>::new(begun);
        match iter.next() {
            None => return Ok(sections),
            Some(Ok((kind, der))) => sections.push((line, kind, der)),
            Some(Err(error)) => return Err(TlsError::Malformed(at.clone(), line, error.to_string())),
        }
        rest = iter.remainder();
        line += newlines(&begun[..begun.len() - rest.len()]);
    }
}

/// Returns the times between which a certificate is valid (RFC 5280 §4.1).
fn validity(certificate: &[u8]) -> Option<(SystemTime, SystemTime)> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let (_, certificate, _) = element(certificate)?;
    let (_, mut fields, _) = element(certificate)?;
    if fields.first() == Some(&VERSION) {
        (_, _, fields) = element(fields)?;
    }
    // The serial number, the algorithm of the signature, and the issuer.
    for _ in 0..3 {
        (_, _, fields) = element(fields)?;
    }
    let (SEQUENCE, times, _) = element(fields)? else { return None };
    let (kind, not_before, times) = element(times)?;
    let not_before = time(kind, not_before)?;
    let (kind, not_after, _) = element(times)?;
    Some((not_before, time(kind, not_after)?))
}

/// Splits DER into the tag and the content of its first element, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], mut rest) = der.split_first_chunk()?;
    let mut len = usize::from(first);
    if first & 0x80 != 0 {
        let (digits, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
        len =
            digits.iter().try_fold(0usize, |len, &digit| len.checked_mul(256)?.checked_add(digit.into()))?;
        rest = after;
    }
    let (content, after) = rest.split_at_checked(len)?;
    Some((tag, content, after))
}

/// Reads a time in the form `YYMMDDhhmmssZ` (UTCTime) or `YYYYMMDDhhmmssZ` (GeneralizedTime).
fn time(kind: u8, text: &[u8]) -> Option<SystemTime> {
    const UTC_TIME: u8 = 0x17;
    let digits = text.strip_suffix(b"Z").filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let number = |digits: &[u8]| str::from_utf8(digits).ok()?.parse::<u64>().ok();
    let (year, rest) = if kind == UTC_TIME {
        let (year, rest) = digits.split_at_checked(2)?;
        let year = number(year)?;
        (if year < 50 { 2000 + year } else { 1900 + year }, rest)
    } else {
        let (year, rest) = digits.split_at_checked(4)?;
        (number(year)?, rest)
    };
    let (pairs, []) = rest.as_chunks::<2>() else { return None };
    let fields: Vec<u64> = pairs.iter().map(|pair| number(pair)).collect::<Option<_>>()?;
    let &[month @ 1..=12, day @ 1..=31, hour, minute, second] = &fields[..] else { return None };
    // Days since 1970 of the proleptic Gregorian calendar, in which March is the first month.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let seconds = days.checked_sub(719_468)? * 86_400 + hour * 3_600 + minute * 60 + second;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_time(kind: u8, text: &str, expected: Option<u64>) {
        assert_eq!(
            time(kind, text.as_bytes()),
            expected.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)),
            "{text}"
        );
    }

    #[test]
    fn tells_that_a_certificate_is_not_valid() {
        let pem = |name| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls/pem").join(name);
        let (chain, key) =
            (read(&pem("default.pem")).expect("a file"), read(&pem("default.key")).expect("a file"));
        let certificate = Certificate::from_pem(&chain, &key).expect("a certificate");
        let check = |now, expected: Option<&str>| {
            let expected = expected.map(|problem| format!("the certificate in memory {problem}"));
            assert_eq!(certificate.problem(now), expected);
        };
        let (from, until) = (certificate.not_before(), certificate.not_after());
        let second = Duration::from_secs(1);
        check(
            from - second,
            Some("is not valid yet: clients will reject it (check the clock of this machine)"),
        );
        check(from, None);
        check(until, None);
        check(until + second, Some("has expired: clients will reject it (replace it)"));
    }

    #[test]
    fn reads_the_times_of_certificates() {
        check_time(0x17, "700101000000Z", Some(0));
        check_time(0x17, "240229235959Z", Some(1_709_251_199));
        check_time(0x18, "20500301000000Z", Some(2_529_705_600));
        check_time(0x18, "99991231235959Z", Some(253_402_300_799));
        for malformed in
            ["", "Z", "70010100000Z", "7001010000000", "700001000000Z", "+70101000000Z", "500101000000Z"]
        {
            check_time(0x17, malformed, None);
        }
    }
}
