//! Which addresses messages may be posted to that clients named: public ones, and those that the operator allows.
//!
//! A name is resolved when a message is sent, and only addresses that are allowed are connected to, so that a name
//! that leads elsewhere a moment later leads nowhere.

use ipnet::IpNet;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// Networks of version 4 that are not the public's (RFC 6890 and what came after).
const PRIVATE_V4: &[(Ipv4Addr, u8)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// The one network of version 6 that is the public's, and what in it is not: protocols, documentation, and what
/// has an address of version 4 in it.
const PUBLIC_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
const PRIVATE_V6: &[(Ipv6Addr, u8)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// What is allowed beside public addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Names, wherever they lead.
    pub hosts: Vec<String>,
    /// Addresses.
    pub networks: Vec<IpNet>,
}

impl Reach {
    /// Checks a URL, as far as that can be done without looking a name up.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn check(&self, url: &str) -> Result<Url, String> {
        let url = Url::parse(url).map_err(|error| format!("must be a URL: {error}"))?;
        let Some(host) = url
            .host_str()
            .filter(|_| matches!(url.scheme(), "http" | "https"))
        else {
            return Err("must begin with `https://` and name a host".to_owned());
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must have no name and no password; messages are signed".to_owned());
        }
        let allowed = match address_of(host) {
            Some(address) if !self.allows(address) => {
                return Err(format!(
                    "`{host}` is no public address; the operator may allow it with `webhook_targets` under `[api]`"
                ));
            }
            Some(address) => self.is_named(address),
            None => self.has_host(host),
        };
        if url.scheme() == "http" && !allowed {
            return Err(
                "must begin with `https://`; plain `http://` is for hosts that the operator allows with \
                 `webhook_targets` under `[api]`"
                    .to_owned(),
            );
        }
        Ok(url)
    }

    fn has_host(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        self.hosts.iter().any(|it| it.eq_ignore_ascii_case(host))
    }

    fn is_named(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }

    fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.is_named(address) || is_public(address)
    }
}

/// The address that a host in a URL is, if it is one in digits.
fn address_of(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}

/// Whether an address is the public's.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !PRIVATE_V4.iter().any(|(network, bits)| {
            let mask = u32::MAX << (32 - bits);
            address.to_bits() & mask == network.to_bits()
        }),
        IpAddr::V6(address) => {
            let is_in = |(network, bits): (Ipv6Addr, u8)| {
                let mask = u128::MAX << (128 - bits);
                address.to_bits() & mask == network.to_bits()
            };
            is_in(PUBLIC_V6) && !PRIVATE_V6.iter().copied().any(is_in)
        }
    }
}

/// Looks names up, and knows no address that is not allowed.
#[derive(Debug, Clone)]
pub(crate) struct Resolver(pub(crate) Arc<Reach>);

/// A name leads to no address that is allowed.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` leads to no public address, and the operator does not allow it")]
struct NotAllowed(String);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let is_named = reach.has_host(name.as_str());
            let allowed: Vec<SocketAddr> = found
                .filter(|address| is_named || reach.allows(address.ip()))
                .collect();
            if allowed.is_empty() {
                return Err(NotAllowed(name.as_str().to_owned()).into());
            }
            let allowed: Addrs = Box::new(allowed.into_iter());
            Ok(allowed)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_inside_are_not_public() {
        for inside in [
            "127.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "198.19.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001:db8::1",
            "2001::1",
        ] {
            let address: IpAddr = inside.parse().unwrap();
            assert!(!Reach::default().allows(address), "{inside}");
        }
        for outside in [
            "1.1.1.1",
            "172.32.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
        ] {
            let address: IpAddr = outside.parse().unwrap();
            assert!(Reach::default().allows(address), "{outside}");
        }
    }

    #[test]
    fn urls_are_of_public_hosts_or_of_those_that_are_allowed() {
        let reach = Reach {
            hosts: vec!["hooks.internal".to_owned()],
            networks: vec!["10.1.0.0/16".parse().unwrap()],
        };
        for good in [
            "https://example.com/hooks?a=1",
            "https://1.1.1.1:8443/",
            "http://hooks.internal:9000/x",
            "http://HOOKS.internal./x",
            "http://10.1.2.3/",
        ] {
            assert!(reach.check(good).is_ok(), "{good}");
        }
        for bad in [
            "example.com",
            "ftp://example.com/",
            "file:///etc/passwd",
            "http://example.com/",
            "https://user:secret@example.com/",
            "https://10.2.0.1/",
            "https://127.0.0.1/",
            // Other ways to write it.
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::1]/",
        ] {
            assert!(reach.check(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_leads_nowhere() {
        let resolve = async |reach: Reach| {
            let resolver = Resolver(Arc::new(reach));
            let found = resolver.resolve("localhost".parse().unwrap()).await;
            found
                .map(Iterator::count)
                .map_err(|error| error.to_string())
        };
        let refused = resolve(Reach::default()).await.unwrap_err();
        assert!(refused.contains("no public address"), "{refused}");
        let allowed = Reach {
            hosts: vec!["localhost".to_owned()],
            ..Reach::default()
        };
        assert!(resolve(allowed).await.unwrap() > 0);
    }
}
