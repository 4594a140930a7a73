//! What is read from files, and what is wrong with them.

use crate::client::pem;
use http_engine::tls::{Certificate, ClientCertificates};
use std::{
    fs,
    time::{Duration, SystemTime},
};

/// Checks the error for these files, whose names may also be paths.
fn check(chain: &str, key: &str, expected: &str) {
    let error = Certificate::load(pem(chain), pem(key)).expect_err("an error").to_string();
    let expected = expected.replace("DIR", pem("").to_str().expect("a path"));
    assert_eq!(error, expected);
}

#[test]
fn an_error_names_the_file_and_what_is_wrong_with_it() {
    check("none.pem", "default.key", "cannot read the PEM file DIRnone.pem: no such file or directory");
    check(
        "default.key",
        "default.key",
        "cannot use the certificate DIRdefault.key: it contains no certificate",
    );
    check("default.pem", "ca.pem", "cannot use the private key DIRca.pem: it contains no private key");
    check(
        "default.pem",
        "exact.key",
        "cannot use the private key DIRexact.key: it does not belong to the first certificate of DIRdefault.pem (the \
         certificate of the server must come before those of its issuers)",
    );
    check("/dev/zero", "default.key", "cannot read the PEM file /dev/zero: not a regular file");
    check("default.pem", "/dev/zero", "cannot read the PEM file /dev/zero: not a regular file");
    let error = ClientCertificates::required(pem("client.key")).expect_err("no certificate");
    assert!(error.to_string().ends_with("client.key: it contains no certificate"), "{error}");
}

#[test]
fn an_error_names_the_line() {
    let (chain, key) = (fs::read_to_string(pem("default.pem")), fs::read(pem("default.key")));
    let (chain, key) = (chain.expect("a file"), key.expect("a file"));
    let second = 1 + chain.lines().position(|line| line.starts_with("-----END")).expect("an end") + 1;
    let broken = chain.replacen("END CERT", "END CART", 2).replacen("END CART", "END CERT", 1);
    let error = Certificate::from_pem(broken.as_bytes(), &key).expect_err("an error").to_string();
    assert!(error.starts_with(&format!("cannot use in memory, line {second}: ")), "{error}");
    let error = Certificate::from_pem(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".as_bytes(),
        &key,
    );
    assert_eq!(
        error.expect_err("an error").to_string(),
        "cannot use in memory, line 1: the certificate is malformed"
    );
}

/// What OpenSSL 3.0 issues without extensions.
const VERSION_1: &[u8] = b"-----BEGIN CERTIFICATE-----
MIIBHzCBxgIUTbb4ugBrpif1sN8EFaHOZGDdyIUwCgYIKoZIzj0EAwIwFzEVMBMG
A1UEAwwMTXkgYXV0aG9yaXR5MCAXDTI2MTEzMDE0NDU1M1oYDzIxMjYxMTA2MTQ0
NTUzWjAMMQowCAYDVQQDDAFhMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEJNM2
52MBdeVfw5erUc7jN9+II+V1N/1HMzdcE7ITLdpq9xjVErTUqD1FGx86HGnK9iBE
yEnf7cKkd6Lftd/quDAKBggqhkjOPQQDAgNIADBFAiA5YaHvxzC8fGP6ZwWWII1d
TeiH/nqSGYdYdFeyEpd4ogIhANLSFGJyIS+QIXm5z6OHgfJhjl/qPRLmRT2yy6ny
RUcq
-----END CERTIFICATE-----";

#[test]
fn an_error_tells_why_a_key_or_a_certificate_is_not_supported() {
    let (chain, key) = (fs::read(pem("default.pem")), fs::read(pem("default.key")));
    let (chain, key) = (chain.expect("a file"), key.expect("a file"));
    let check = |chain: &[u8], key: &[u8], expected: &str| {
        let error = Certificate::from_pem(chain, key).expect_err("an error").to_string();
        assert_eq!(error, format!("cannot use {expected}"));
    };
    let encrypted =
        "the private key in memory: it is encrypted (remove its passphrase: openssl pkey -in OLD -out NEW)";
    for key in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n\
         -----END RSA PRIVATE KEY-----\n",
    ] {
        check(&chain, key.as_bytes(), encrypted);
    }
    let unknown = "the private key in memory: it is malformed, or not ECDSA with P-256 or P-384, Ed25519, or RSA from \
                   2048 bits on";
    check(&chain, b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", unknown);
    check(
        VERSION_1,
        &key,
        "in memory, line 1: the certificate does not have version 3 (issue it with extensions)",
    );
}

#[test]
fn reads_every_kind_of_key_and_what_the_certificate_says() {
    for (name, names) in
        [("default", "localhost"), ("exact", "www.example.org"), ("wildcard", "*.example.org")]
    {
        let certificate = Certificate::load(pem(&format!("{name}.pem")), pem(&format!("{name}.key")));
        let certificate = certificate.expect("a certificate");
        assert_eq!(certificate.names(), [names]);
        let (now, century) = (SystemTime::now(), Duration::from_secs(36_500 * 86_400));
        assert!(certificate.not_before() < now && now < certificate.not_after());
        assert_eq!(certificate.not_after(), certificate.not_before() + century);
    }
}

#[test]
fn a_certificate_is_for_names_and_addresses() {
    let check = |certificate: &str, host: &str, expected: bool| {
        let certificate =
            Certificate::load(pem(&format!("{certificate}.pem")), pem(&format!("{certificate}.key")));
        assert_eq!(certificate.expect("a certificate").is_for(host), expected, "{host}");
    };
    check("default", "LocalHost", true);
    check("default", "127.0.0.1", true);
    check("default", "::1", false);
    check("wildcard", "a.example.org", true);
    check("wildcard", "b.a.example.org", false);
    check("wildcard", "example.org", false);
    check("wildcard", "", false);
}
