//! The certificate that the server shows, where it speaks TLS itself.

use crate::config::TlsFiles;
use anyhow::Context;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

/// Reads a certificate and its key.
///
/// # Errors
/// A file cannot be read, or is not what it should be, or the two do not belong together.
pub fn load(files: &TlsFiles) -> anyhow::Result<Arc<ServerConfig>> {
    frugal_llm::install_crypto_provider();
    let path = files.certificate.display();
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
        .with_context(|| format!("tls_certificate: cannot read certificates from {path}"))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).with_context(|| {
        let path = files.key.display();
        format!("tls_key: cannot read a private key from {path}")
    })?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .with_context(|| format!("tls_certificate: {path} cannot be used with its key"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
