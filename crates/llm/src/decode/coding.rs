//! Content codings: compression that a server put around its answer, taken off within a bound.

use brotli_decompressor::Decompressor;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use ruzstd::decoding::StreamingDecoder;
use std::io::Read;

/// What is asked for: every coding that [`decoded`] reads.
pub(crate) const ACCEPTED: &str = "gzip, deflate, br, zstd";

/// How much of a Brotli stream is read at a time.
const BROTLI_BUFFER: usize = 4_096;

/// Why a body cannot be decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CodingFault {
    /// It is larger than it may be; this is its beginning.
    TooLarge(Vec<u8>),
    /// It is not what its header says, nor plain text.
    Unreadable,
}

/// A body without the codings that `Content-Encoding` names, at most `most` bytes long.
///
/// Gateways decode a body and leave the header, or encode it and forget the header, so the bytes
/// are believed before the header is. A stream that breaks off yields what it held until then.
pub(crate) fn decoded(
    mut body: Vec<u8>,
    codings: &str,
    most: usize,
) -> Result<Vec<u8>, CodingFault> {
    // The last one named was applied last.
    for coding in codings.rsplit(',') {
        let coding = coding.trim().to_ascii_lowercase();
        if is_plain(&body) {
            break;
        }
        body = match coding.as_str() {
            "gzip" | "x-gzip" => read(MultiGzDecoder::new(&*body), most),
            "deflate" => inflated(&body, most),
            "br" => read(Decompressor::new(&*body, BROTLI_BUFFER), most),
            "zstd" => unpacked_zstd(&body, most),
            _ => continue,
        }?;
    }
    if body.starts_with(&[0x1f, 0x8b, 8]) {
        return read(MultiGzDecoder::new(&*body), most);
    }
    if body.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return unpacked_zstd(&body, most);
    }
    Ok(body)
}

/// Whether a body begins like JSON or a page, which no compressed stream in use does.
fn is_plain(body: &[u8]) -> bool {
    let mut bytes = body.iter().skip_while(|byte| byte.is_ascii_whitespace());
    match bytes.next() {
        Some(b'{' | b'<') => bytes
            .next()
            .is_none_or(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()),
        Some(b'[') => bytes.next().is_none_or(|byte| {
            matches!(byte, b'{' | b'[' | b']' | b'"') || byte.is_ascii_whitespace()
        }),
        Some(_) => body.starts_with(b"data:") || body.starts_with(b"event:"),
        None => true,
    }
}

/// `deflate` is a zlib stream by the standard and a bare one at some servers.
fn inflated(body: &[u8], most: usize) -> Result<Vec<u8>, CodingFault> {
    match read(ZlibDecoder::new(body), most) {
        Err(CodingFault::Unreadable) => read(DeflateDecoder::new(body), most),
        read => read,
    }
}

fn unpacked_zstd(body: &[u8], most: usize) -> Result<Vec<u8>, CodingFault> {
    let stream = StreamingDecoder::new(body).map_err(|_| CodingFault::Unreadable)?;
    read(stream, most)
}

fn read(stream: impl Read, most: usize) -> Result<Vec<u8>, CodingFault> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let ended = stream.take(limit).read_to_end(&mut bytes);
    if bytes.len() > most {
        bytes.truncate(most);
        return Err(CodingFault::TooLarge(bytes));
    }
    match ended {
        Err(_) if bytes.is_empty() => Err(CodingFault::Unreadable),
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    const TEXT: &[u8] = br#"{"choices": [{"text": "The answer is 4."}]}"#;
    const MOST: usize = 1_000_000;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn bare_deflate(text: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
    }

    /// `TEXT` in Brotli: one uncompressed meta-block, and an empty last one (RFC 7932, section 9.2).
    fn brotli() -> Vec<u8> {
        // WBITS 16: bit 0. Not last: 0. MNIBBLES 4: 00. MLEN − 1: 16 bits. Uncompressed: 1.
        let length = u32::try_from(TEXT.len()).unwrap() - 1;
        let header = (length << 4) | (1 << 20);
        let mut stream = header.to_le_bytes()[..3].to_vec();
        stream.extend_from_slice(TEXT);
        // Last: 1. Empty: 1.
        stream.push(0b11);
        stream
    }

    #[test]
    fn every_coding_that_is_asked_for_is_read() {
        for (codings, body) in [
            ("gzip", gzip(TEXT)),
            ("x-gzip", gzip(TEXT)),
            ("deflate", zlib(TEXT)),
            ("deflate", bare_deflate(TEXT)),
            ("zstd", zstd(TEXT)),
            ("br", brotli()),
            ("identity", TEXT.to_vec()),
            ("", TEXT.to_vec()),
            ("deflate, gzip", gzip(&zlib(TEXT))),
            // The header lies or is missing.
            ("gzip", TEXT.to_vec()),
            ("br", TEXT.to_vec()),
            ("", gzip(TEXT)),
            ("", zstd(TEXT)),
            ("utf-8", TEXT.to_vec()),
        ] {
            assert_eq!(
                decoded(body, codings, MOST).as_deref(),
                Ok(TEXT),
                "{codings}"
            );
        }
        for coding in ACCEPTED.split(", ") {
            assert_eq!(
                decoded(vec![0xff; 40], coding, MOST),
                Err(CodingFault::Unreadable),
                "{coding}"
            );
        }
    }

    #[test]
    fn a_small_body_cannot_become_a_large_one() {
        let bomb = gzip(&vec![b' '; 3_000_000]);
        assert!(bomb.len() < 10_000);
        let Err(CodingFault::TooLarge(beginning)) = decoded(bomb, "gzip", MOST) else {
            panic!("it was read");
        };
        assert_eq!(beginning.len(), MOST);
    }

    #[test]
    fn what_breaks_off_is_given_as_far_as_it_came() {
        let text: Vec<u8> = (0..20_000_u32)
            .flat_map(|i| i.to_string().into_bytes())
            .collect();
        let whole = gzip(&text);
        let part = decoded(whole[..whole.len() / 2].to_vec(), "gzip", MOST).unwrap();
        assert!(!part.is_empty() && part.len() < text.len());
        assert_eq!(part, text[..part.len()]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_without_panic(
            body in prop::collection::vec(any::<u8>(), 0..300),
            coding in prop::sample::select(vec!["gzip", "deflate", "br", "zstd", "gzip, br", ""]),
        ) {
            if let Ok(decoded) = decoded(body, coding, MOST) {
                prop_assert!(decoded.len() <= MOST);
            }
        }
    }
}
