//! Listening sockets: one per core on the same address, the kernel spreads connections over them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections the kernel completes ahead of accept. Cut by `net.core.somaxconn`.
pub const BACKLOG: i32 = 4096;

/// How long an address in use is asked for again. When a process is killed, the kernel takes its
/// rings apart after the process is gone, and their listening sockets with them; a server that is
/// started again at once would find its own port taken.
const LINGER: Duration = Duration::from_millis(500);
/// Pause between two attempts.
const RETRY: Duration = Duration::from_millis(10);

/// Whether other sockets of the same user may listen on the same address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sharing {
    /// An address in use is an error, if it stays in use for half a second.
    Exclusive,
    /// Several sockets share the address (`SO_REUSEPORT`).
    Shared,
}

/// Listens on `address` with backlog [`BACKLOG`], `SO_REUSEADDR`, `TCP_NODELAY` (inherited by
/// accepted sockets) and close-on-exec. IPv6 addresses take no IPv4 traffic.
///
/// # Errors
/// What the kernel says, `AddrInUse` first of all.
pub fn bind(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = bound(address, sharing)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bound(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let until = Instant::now() + LINGER;
    loop {
        match try_bound(address, sharing) {
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && sharing == Sharing::Exclusive
                    && Instant::now() < until =>
            {
                std::thread::sleep(RETRY);
            }
            result => return result,
        }
    }
}

fn try_bound(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    if sharing == Sharing::Shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// One listening socket per core, all on `address`. Port 0 lets the kernel pick one port for all.
///
/// `SO_REUSEPORT` lets a second server of the same user share the port silently, so the address is
/// first bound exclusively: somebody else's listener is an error here. That first socket does not
/// listen: it would take connections in, and reset them when it makes way for the group.
///
/// # Errors
/// What the kernel says; `AddrInUse` when anybody listens there already.
pub fn bind_group(address: SocketAddr, cores: usize) -> io::Result<Vec<TcpListener>> {
    assert!(cores > 0, "a server has at least one core");
    let exclusive = bound(address, Sharing::Exclusive)?;
    let chosen = exclusive.local_addr()?;
    drop(exclusive);
    let chosen = chosen.as_socket().ok_or(io::ErrorKind::InvalidInput)?;
    (0..cores).map(|_| bind(chosen, Sharing::Shared)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any_port() -> SocketAddr {
        "127.0.0.1:0".parse().expect("an address")
    }

    #[test]
    fn a_group_shares_one_port() {
        let group = bind_group(any_port(), 3).expect("bind");
        let ports: Vec<_> = group.iter().map(|l| l.local_addr().expect("bound").port()).collect();
        assert!(ports[0] != 0 && ports.iter().all(|port| *port == ports[0]));
    }

    #[test]
    fn a_second_group_on_the_same_port_is_refused() {
        let group = bind_group(any_port(), 2).expect("bind");
        let address = group[0].local_addr().expect("bound");
        let error = bind_group(address, 2).expect_err("the port is taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
