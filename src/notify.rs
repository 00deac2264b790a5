//! Telling the service manager how the server is doing: the `sd_notify` datagrams of systemd.
//!
//! Without a service manager (no `NOTIFY_SOCKET`) every call does nothing. Messages are best
//! effort: a manager that does not listen must not stop a server.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The connection to the service manager, if there is one.
#[derive(Debug)]
pub struct Notifier {
    target: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

/// What to tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State<'a> {
    /// Listeners are open.
    Ready {
        /// One line for `systemctl status`.
        status: &'a str,
    },
    /// The configuration is being read again; tell [`State::Ready`] when done.
    Reloading {
        /// Now, in microseconds of the monotonic clock; the manager pairs the message with its
        /// request by it.
        monotonic_usec: u64,
    },
    /// Shutting down.
    Stopping,
    /// Still taking turns; due every [`Notifier::watchdog_interval`].
    Alive,
    /// One line for `systemctl status`, without a change of state.
    Status(&'a str),
    /// Start or stop takes longer: allow this much from now on.
    Extend(Duration),
}

impl Notifier {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    ///
    /// # Errors
    /// There is an address but no socket can be made for it.
    pub fn from_env() -> io::Result<Self> {
        Self::new(
            std::env::var_os("NOTIFY_SOCKET"),
            std::env::var("WATCHDOG_USEC").ok().as_deref(),
            std::env::var("WATCHDOG_PID").ok().as_deref(),
        )
    }

    fn new(socket: Option<OsString>, usec: Option<&str>, pid: Option<&str>) -> io::Result<Self> {
        let target = match socket.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => Some((UnixDatagram::unbound()?, address(name)?)),
            None => None,
        };
        let ours = pid.is_none_or(|pid| pid == std::process::id().to_string());
        let usec = usec.filter(|_| ours && target.is_some()).and_then(|usec| usec.parse().ok());
        let watchdog = usec.filter(|usec| *usec > 0).map(Duration::from_micros);
        Ok(Self { target, watchdog })
    }

    /// How often [`State::Alive`] is due: a third of the deadline; `None` when nobody watches.
    #[must_use]
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.map(|deadline| deadline / 3)
    }

    /// Tells the service manager.
    pub fn tell(&self, state: State<'_>) {
        let Some((socket, address)) = &self.target else { return };
        if let Err(error) = socket.send_to_addr(message(state).as_bytes(), address) {
            tracing::debug!(%error, "the service manager does not listen");
        }
    }
}

/// A path, or a name in the abstract namespace written with a leading `@`.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "NOTIFY_SOCKET is neither a path nor an abstract name",
        )),
    }
}

fn message(state: State<'_>) -> String {
    let line = |status: &str| status.replace('\n', " ");
    match state {
        State::Ready { status } => format!("READY=1\nSTATUS={}\n", line(status)),
        State::Reloading { monotonic_usec } => {
            format!("RELOADING=1\nMONOTONIC_USEC={monotonic_usec}\n")
        }
        State::Stopping => "STOPPING=1\n".to_owned(),
        State::Alive => "WATCHDOG=1\n".to_owned(),
        State::Status(status) => format!("STATUS={}\n", line(status)),
        State::Extend(more) => format!("EXTEND_TIMEOUT_USEC={}\n", more.as_micros()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).expect("a message");
        String::from_utf8(buffer[..length].to_vec()).expect("text")
    }

    #[test]
    fn messages_reach_a_path() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("bound");
        let notifier = Notifier::new(Some(path.into()), None, None).expect("made");
        notifier.tell(State::Ready { status: "two\nlines" });
        assert_eq!(received(&manager), "READY=1\nSTATUS=two lines\n");
        notifier.tell(State::Stopping);
        assert_eq!(received(&manager), "STOPPING=1\n");
        notifier.tell(State::Reloading { monotonic_usec: 7 });
        assert_eq!(received(&manager), "RELOADING=1\nMONOTONIC_USEC=7\n");
    }

    #[test]
    fn messages_reach_an_abstract_name() {
        let name = format!("synap-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("an address");
        let manager = UnixDatagram::bind_addr(&address).expect("bound");
        let notifier = Notifier::new(Some(format!("@{name}").into()), None, None).expect("made");
        notifier.tell(State::Alive);
        assert_eq!(received(&manager), "WATCHDOG=1\n");
    }

    #[test]
    fn the_watchdog_is_ours_or_nobodys() {
        let socket = || Some(OsString::from("@synap-nobody"));
        let me = std::process::id().to_string();
        let interval = |pid: Option<&str>| {
            let notifier = Notifier::new(socket(), Some("30000000"), pid).expect("made");
            notifier.watchdog_interval()
        };
        assert_eq!(interval(Some(&me)), Some(Duration::from_secs(10)));
        assert_eq!(interval(None), Some(Duration::from_secs(10)));
        assert_eq!(interval(Some("1")), None);
        let alone = Notifier::new(None, Some("30000000"), None).expect("made");
        assert_eq!(alone.watchdog_interval(), None);
        alone.tell(State::Alive);
    }

    #[test]
    fn a_relative_address_is_refused() {
        assert!(Notifier::new(Some("relative".into()), None, None).is_err());
    }
}
