//! Where a daemon answers: its socket on this machine, or an address of the network, over TLS, for
//! whoever holds its token.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, ClientTlsConfig},
};

use crate::{ApiError, codes};

/// See above.
#[derive(Clone)]
pub struct Place(Way);

#[derive(Clone)]
enum Way {
    Socket(PathBuf),
    Network(Network),
}

#[derive(Clone)]
struct Network {
    /// `https://host:port`.
    url: String,
    token: MetadataValue<Ascii>,
    tls: ClientTlsConfig,
}

impl Place {
    /// A daemon at `https://host:port`. `token` is what its file `api-token` holds; `authority` is
    /// the certificate, PEM, that its own must be signed with, instead of those this machine trusts.
    ///
    /// # Errors
    ///
    /// The address is none of TLS, or the token is none.
    pub fn network(url: &str, token: &str, authority: Option<&[u8]>) -> Result<Self, ApiError> {
        let wrong = |what: String| ApiError::new(codes::CONFIG, what).hint("taskd help remote");
        let host = url.strip_prefix("https://").map(|it| it.trim_end_matches('/'));
        let host = host.filter(|it| it.contains(':') && !it.contains('/'));
        let host = host.ok_or_else(|| {
            wrong(format!("`{url}` is no place of a daemon: it must be https://HOST:PORT"))
        })?;
        let token = format!("Bearer {}", token.trim());
        let mut token: MetadataValue<Ascii> =
            token.parse().map_err(|_| wrong("the token is no line of text".to_owned()))?;
        token.set_sensitive(true);
        let tls = match authority {
            Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        Ok(Self(Way::Network(Network { url: format!("https://{host}"), token, tls })))
    }

    /// The socket; nothing for a daemon elsewhere.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        match &self.0 {
            Way::Socket(path) => Some(path),
            Way::Network(_) => None,
        }
    }

    /// What a channel is made for.
    pub(crate) fn uri(&self) -> Result<String, String> {
        match &self.0 {
            Way::Socket(path) => match path.to_str() {
                Some(path) => Ok(format!("unix://{path}")),
                None => Err("the path is not UTF-8".to_owned()),
            },
            Way::Network(it) => Ok(it.url.clone()),
        }
    }

    /// How the network is spoken to.
    pub(crate) fn tls(&self) -> Option<ClientTlsConfig> {
        match &self.0 {
            Way::Socket(_) => None,
            Way::Network(it) => Some(it.tls.clone()),
        }
    }

    /// What every call over the network carries.
    pub(crate) fn token(&self) -> Option<&MetadataValue<Ascii>> {
        match &self.0 {
            Way::Socket(_) => None,
            Way::Network(it) => Some(&it.token),
        }
    }
}

/// Without the token.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Way::Socket(path) => write!(f, "{}", path.display()),
            Way::Network(it) => f.write_str(&it.url),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}

impl From<PathBuf> for Place {
    fn from(socket: PathBuf) -> Self {
        Self(Way::Socket(socket))
    }
}

impl From<&Path> for Place {
    fn from(socket: &Path) -> Self {
        socket.to_path_buf().into()
    }
}

impl From<&PathBuf> for Place {
    fn from(socket: &PathBuf) -> Self {
        socket.clone().into()
    }
}
