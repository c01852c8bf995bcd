//! The listening addresses of a server, as set by the program.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, Result};

/// An address to listen on, parsed from a text:
///
/// | text | place |
/// | --- | --- |
/// | `127.0.0.1:8080`, `[::]:80` | an IP address and port; port 0 lets the system choose |
/// | `localhost:8080` | the first address of the name that can be listened on |
/// | `http://[::]:80`, `https://[::]:443` | without or with TLS; otherwise IP addresses have TLS if `App::tls` was called |
/// | `unix:/run/app.sock` | a Unix socket; its file is made, and removed at the end |
/// | `unix:/run/app.sock?mode=660` | the same, with the file's permissions in octal; otherwise they are those of the umask |
/// | `unix:@name` | a Unix socket in Linux's own name space, without a file |
///
/// # Example
///
/// One for clients, and one for a proxy on this machine:
///
/// ```
/// use conduit::ListenAddress;
///
/// let places: Vec<ListenAddress> = vec!["127.0.0.1:8080".parse()?, "unix:/run/app.sock?mode=660".parse()?];
/// assert_eq!(places[1].to_string(), "unix:/run/app.sock?mode=660");
/// # Ok::<(), conduit::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    pub(crate) place: Location,
    /// The protocol, if the text specifies it.
    pub(crate) scheme: Option<Scheme>,
}

/// The protocol at an IP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    Ip(SocketAddr),
    /// A name and a port, to resolve.
    Host(String),
    /// A path, and the permissions of its file.
    Unix(PathBuf, Option<u32>),
    /// A name in Linux's own name space.
    Abstract(String),
}

impl FromStr for ListenAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::address(text, std::io::Error::other(why.to_owned()));
        let (scheme, rest) = if let Some(rest) = text.strip_prefix("http://") {
            (Some(Scheme::Http), rest)
        } else if let Some(rest) = text.strip_prefix("https://") {
            (Some(Scheme::Https), rest)
        } else {
            (None, text)
        };
        let place = if let (None, Some(path)) = (scheme, text.strip_prefix("unix:")) {
            match path.strip_prefix('@') {
                Some("") => {
                    return Err(wrong(
                        "the name after unix:@ is empty: expected an address such as unix:@app",
                    ));
                }
                Some(name) => Location::Abstract(name.to_owned()),
                None => {
                    let (path, mode) = match path.split_once("?mode=") {
                        Some((path, mode)) => {
                            let mode = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o777);
                            (
                                path,
                                Some(mode.ok_or_else(|| {
                                    wrong("the mode must be an octal number up to 777, such as ?mode=660")
                                })?),
                            )
                        }
                        None => (path, None),
                    };
                    if path.is_empty() {
                        return Err(wrong(
                            "the path after unix: is empty: expected an address such as unix:/run/app.sock",
                        ));
                    }
                    Location::Unix(path.into(), mode)
                }
            }
        } else if let Ok(address) = rest.parse() {
            Location::Ip(address)
        } else {
            let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            match rest.rsplit_once(':') {
                Some((_, port)) if port.parse::<u16>().is_ok() => Location::Host(rest.to_owned()),
                Some((_, port)) if is_number(port) => return Err(wrong("its port is above 65535")),
                None if is_number(rest) => return Err(wrong("it has a port and no address")),
                _ => return Err(wrong("it has no port")),
            }
        };
        Ok(ListenAddress { place, scheme })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme {
            Some(Scheme::Http) => f.write_str("http://")?,
            Some(Scheme::Https) => f.write_str("https://")?,
            None => {}
        }
        match &self.place {
            Location::Ip(address) => address.fmt(f),
            Location::Host(host) => f.write_str(host),
            Location::Unix(path, None) => write!(f, "unix:{}", path.display()),
            Location::Unix(path, Some(mode)) => write!(f, "unix:{}?mode={mode:o}", path.display()),
            Location::Abstract(name) => write!(f, "unix:@{name}"),
        }
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        ListenAddress {
            place: Location::Ip(address),
            scheme: None,
        }
    }
}

/// The argument of `App::listen`: one address to listen on, or several.
///
/// A text may have several, separated by commas, each in a form that [`ListenAddress`] parses; a list may be an array, a
/// slice or a vector of addresses of any accepted type.
pub trait ListenOn {
    /// Returns the addresses.
    ///
    /// # Errors
    ///
    /// Returns an error if a text is not an address.
    fn addresses(self) -> Result<Vec<ListenAddress>>;
}

impl ListenOn for ListenAddress {
    fn addresses(self) -> Result<Vec<ListenAddress>> {
        Ok(vec![self])
    }
}

impl ListenOn for &ListenAddress {
    fn addresses(self) -> Result<Vec<ListenAddress>> {
        Ok(vec![self.clone()])
    }
}

impl ListenOn for &str {
    fn addresses(self) -> Result<Vec<ListenAddress>> {
        self.split(',').map(|text| text.trim().parse()).collect()
    }
}

impl ListenOn for &String {
    fn addresses(self) -> Result<Vec<ListenAddress>> {
        self.as_str().addresses()
    }
}

impl ListenOn for String {
    fn addresses(self) -> Result<Vec<ListenAddress>> {
        self.as_str().addresses()
    }
}

impl ListenOn for (&str, u16) {
    fn addresses(self) -> Result<Vec<ListenAddress>> {
        match self.0.parse::<IpAddr>() {
            Ok(ip) => (ip, self.1).addresses(),
            Err(_) => format!("{}:{}", self.0, self.1).addresses(),
        }
    }
}

macro_rules! ip_address {
    ($($type:ty),*) => {$(
        impl ListenOn for $type {
            fn addresses(self) -> Result<Vec<ListenAddress>> {
                Ok(vec![SocketAddr::from(self).into()])
            }
        }
    )*};
}

ip_address!(
    SocketAddr,
    SocketAddrV4,
    SocketAddrV6,
    (IpAddr, u16),
    (Ipv4Addr, u16),
    (Ipv6Addr, u16)
);

fn all<T: ListenOn>(places: impl IntoIterator<Item = T>) -> Result<Vec<ListenAddress>> {
    let mut all = Vec::new();
    for place in places {
        all.extend(place.addresses()?);
    }
    Ok(all)
}

impl<T: ListenOn, const COUNT: usize> ListenOn for [T; COUNT] {
    fn addresses(self) -> Result<Vec<ListenAddress>> {
        all(self)
    }
}

impl<T: ListenOn> ListenOn for Vec<T> {
    fn addresses(self) -> Result<Vec<ListenAddress>> {
        all(self)
    }
}

impl<'a, T> ListenOn for &'a [T]
where
    &'a T: ListenOn,
{
    fn addresses(self) -> Result<Vec<ListenAddress>> {
        all(self)
    }
}

impl ListenOn for &&str {
    fn addresses(self) -> Result<Vec<ListenAddress>> {
        (*self).addresses()
    }
}

impl ListenOn for &SocketAddr {
    fn addresses(self) -> Result<Vec<ListenAddress>> {
        (*self).addresses()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parsed_address_is_displayed_unchanged() {
        for text in [
            "127.0.0.1:80",
            "[::]:80",
            "localhost:80",
            "unix:/run/app.sock",
            "unix:/run/app.sock?mode=660",
            "unix:@name",
            "https://[::]:443",
            "http://localhost:80",
        ] {
            let address: ListenAddress = text.parse().expect(text);
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn an_invalid_address_is_rejected_with_the_reason() {
        for (text, why) in [
            ("", "no port"),
            ("localhost", "no port"),
            ("[::1]", "no port"),
            ("localhost:", "no port"),
            ("127.0.0.1:99999", "its port is above 65535"),
            ("8080", "it has a port and no address"),
            ("unix:", "the path after unix: is empty"),
            ("unix:@", "the name after unix:@ is empty"),
            ("unix:/a?mode=9", "octal"),
            ("unix:/a?mode=1777", "octal"),
        ] {
            let error = text.parse::<ListenAddress>().expect_err(text).to_string();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_text_may_name_several() {
        let all = "127.0.0.1:1, unix:/a".addresses().expect("two");
        assert_eq!(all.len(), 2);
        assert_eq!(["127.0.0.1:1", "[::1]:2"].addresses().expect("two").len(), 2);
        assert_eq!(
            vec![("localhost", 3)].addresses().expect("one")[0].to_string(),
            "localhost:3"
        );
    }
}
