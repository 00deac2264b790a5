//! What the kernel knows of a TCP connection (tcp(7), `struct tcp_info` of `linux/tcp.h`).

use std::io;
use std::os::fd::RawFd;

/// Where `tcpi_bytes_acked` stands (Linux 4.1): behind 8 bytes of flags, 24 numbers of 32 bits and
/// two rates of 64.
const BYTES_ACKED_AT: usize = 8 + 24 * 4 + 2 * 8;
/// Bytes of the structure that are read, up to the end of that number.
const INFO_BYTES: usize = BYTES_ACKED_AT + 8;

/// Bytes that the other end has confirmed since the connection was made.
pub(crate) fn acknowledged(fd: RawFd) -> io::Result<u64> {
    let mut info = [0_u8; INFO_BYTES];
    let mut length = INFO_BYTES as libc::socklen_t;
    // SAFETY: `info` is writable for the length that is given, during the call only; the kernel
    // cuts its structure to that length.
    #[expect(unsafe_code, reason = "std does not offer TCP_INFO")]
    let result = unsafe {
        libc::getsockopt(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    if (length as usize) < INFO_BYTES {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let (_, bytes) = info.split_at(BYTES_ACKED_AT);
    Ok(u64::from_ne_bytes(bytes.try_into().expect("eight bytes are left")))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn what_was_read_is_confirmed() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("bound");
        let mut client = TcpStream::connect(address).expect("connect");
        let (mut server, _) = listener.accept().expect("accept");
        let before = acknowledged(client.as_raw_fd()).expect("a TCP socket");
        client.write_all(&[7; 1000]).expect("written");
        let mut all = [0; 1000];
        server.read_exact(&mut all).expect("read");
        // The acknowledgement may be a little behind the bytes.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while acknowledged(client.as_raw_fd()).expect("a TCP socket") < before + 1000 {
            assert!(std::time::Instant::now() < deadline, "never confirmed");
            std::thread::yield_now();
        }
        assert!(acknowledged(-1).is_err());
    }
}
