//! Signatures of messages.

use standardwebhooks::Webhook;
use std::fmt;
use std::sync::Arc;

/// The fewest bytes of a secret, as Standard Webhooks has it.
const FEWEST_BYTES: usize = 24;

/// What base64 makes of three bytes.
const GROUP: usize = 4;

/// Signs messages, with every secret that is in force.
#[derive(Clone)]
pub struct Signer(Arc<Vec<Webhook>>);

/// It is no secret, or a short one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be `whsec_` and at least {FEWEST_BYTES} bytes in base64")]
pub struct UnusableSecret;

impl Signer {
    /// Signs with these secrets, between which there is white space: `whsec_` and base64.
    ///
    /// # Errors
    /// There is none, or one of them is none.
    pub fn new(secrets: &str) -> Result<Self, UnusableSecret> {
        let signers = secrets.split_whitespace().map(|secret| {
            let coded = secret.strip_prefix("whsec_").ok_or(UnusableSecret)?;
            let bytes = coded.trim_end_matches('=').len() * 3 / GROUP;
            if bytes < FEWEST_BYTES {
                return Err(UnusableSecret);
            }
            Webhook::new(secret).map_err(|_undecodable| UnusableSecret)
        });
        let signers = signers.collect::<Result<Vec<_>, _>>()?;
        match signers.is_empty() {
            true => Err(UnusableSecret),
            false => Ok(Self(Arc::new(signers))),
        }
    }

    /// The value of `webhook-signature`: a signature by each secret, with spaces between them. `timestamp` is in
    /// seconds since the epoch. A body that is no text has none.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
        let signatures = self.0.iter().map(|secret| secret.sign(id, timestamp, body));
        let signatures: Vec<String> = signatures.collect::<Result<_, _>>().ok()?;
        Some(signatures.join(" "))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn signatures_are_those_of_the_standard() {
        // From the specification's text, and from its reference library.
        let of = |secret: &str, id: &str, timestamp, body: &str| {
            let signer = Signer::new(secret).unwrap();
            signer.sign(id, timestamp, body.as_bytes()).unwrap()
        };
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        assert_eq!(
            of(SECRET, id, 1_614_265_330, "{\"test\": 2432232314}"),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        assert_eq!(
            of(
                "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
                "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
                1_649_367_553,
                r#"{"email":"test@example.com","username":"test_user"}"#
            ),
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="
        );
    }

    #[test]
    fn every_secret_in_force_signs() {
        let both = format!("{SECRET} whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
        let signer = Signer::new(&both).unwrap();
        let signed = signer.sign("m", 7, b"x").unwrap();
        let one = Signer::new(SECRET).unwrap().sign("m", 7, b"x").unwrap();
        assert!(signed.starts_with(&format!("{one} v1,")), "{signed}");
    }

    #[test]
    fn what_is_no_secret_is_refused_and_none_is_shown() {
        for secret in [
            "",
            "  ",
            "whsec_",
            "whsec_c2hvcnQ=",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_MfKQ9r8G*YqrTwjUPD8ILPZIo2LaLaSw",
        ] {
            assert_eq!(Signer::new(secret).unwrap_err(), UnusableSecret, "{secret}");
        }
        assert_eq!(
            format!("{:?}", Signer::new(SECRET).unwrap()),
            "Signer(hidden)"
        );
    }
}
