//! Where a request comes from: the address at the other end of its connection, or where that is a proxy
//! that the operator trusts, the one that it names.

use axum::extract::Request;
use ipnet::IpNet;
use std::net::IpAddr;

/// The address at the other end of a request's connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub IpAddr);

/// The header in which proxies name the clients before them, the nearest last.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// The header in which a proxy says which name a client asked for.
const FORWARDED_HOST: &str = "x-forwarded-host";

/// The client's address, as far as one is known.
pub(crate) fn client(request: &Request, trusted: &[IpNet]) -> Option<IpAddr> {
    let Peer(peer) = *request.extensions().get::<Peer>()?;
    let headers = request.headers().get_all(FORWARDED_FOR).iter();
    let named: Vec<&str> = headers
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    Some(nearest_untrusted(peer.to_canonical(), &named, trusted))
}

/// The first address, from our side, that is no trusted proxy's. What lies behind it is hearsay.
fn nearest_untrusted(peer: IpAddr, named: &[&str], trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    let mut address = peer;
    for name in named.iter().rev() {
        if !is_trusted(address) {
            break;
        }
        let Ok(next) = name.parse::<IpAddr>() else {
            break;
        };
        address = next.to_canonical();
    }
    address
}

/// The name that a client asked for, where a trusted proxy says so.
pub(crate) fn host(request: &Request, trusted: &[IpNet]) -> Option<String> {
    let Peer(peer) = *request.extensions().get::<Peer>()?;
    let peer = peer.to_canonical();
    trusted.iter().find(|network| network.contains(&peer))?;
    let host = request.headers().get(FORWARDED_HOST)?.to_str().ok()?;
    let host = host.split(',').next_back().unwrap_or_default().trim();
    Some(host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let nearest = |peer: &str, named: &[&str]| {
            nearest_untrusted(peer.parse().unwrap(), named, &trusted).to_string()
        };
        assert_eq!(nearest("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(nearest("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(nearest("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        // The client wrote the first one itself.
        assert_eq!(
            nearest("10.0.0.1", &["127.0.0.1", "198.51.100.7", "10.0.0.2"]),
            "198.51.100.7"
        );
        assert_eq!(nearest("10.0.0.1", &["nonsense"]), "10.0.0.1");
    }
}
