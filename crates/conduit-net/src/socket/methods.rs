//! The methods that several kinds of sockets share. Every type that uses these macros has a field `socket: OwnedFd`.

/// Methods of every socket: its descriptor, the conversions, and the pending error.
macro_rules! common {
    ($socket:ident, $should:literal) => {
        impl $socket {
            /// Returns and resets the pending error (`SO_ERROR`), such as the result of a connection attempt.
            /// socket(7).
            ///
            /// # Errors
            /// An error of the system; none is expected in normal operation.
            pub fn take_error(&self) -> $crate::io::Result<Option<$crate::io::Error>> {
                Ok(rustix::net::sockopt::socket_error(&self.socket)?
                    .err()
                    .map($crate::io::Error::from))
            }

            /// Sets whether calls block instead of returning `WouldBlock`. Default: non-blocking. fcntl(2).
            ///
            /// # Errors
            /// An error of the system; none is expected in normal operation.
            pub fn set_blocking(&self, on: bool) -> $crate::io::Result<()> {
                $crate::socket::ops::set_blocking(rustix::fd::AsFd::as_fd(&self.socket), on)
            }

            /// Returns a second descriptor of the same socket; both share all settings. dup(2).
            ///
            /// # Errors
            /// `EMFILE` if the process has no free descriptor.
            pub fn try_clone(&self) -> $crate::io::Result<Self> {
                Ok(Self {
                    socket: rustix::io::fcntl_dupfd_cloexec(&self.socket, 0)?,
                })
            }
        }

        impl rustix::fd::AsFd for $socket {
            #[inline]
            fn as_fd(&self) -> rustix::fd::BorrowedFd<'_> {
                self.socket.as_fd()
            }
        }

        impl rustix::fd::AsRawFd for $socket {
            #[inline]
            fn as_raw_fd(&self) -> rustix::fd::RawFd {
                self.socket.as_raw_fd()
            }
        }

        impl From<$socket> for rustix::fd::OwnedFd {
            #[inline]
            fn from(socket: $socket) -> rustix::fd::OwnedFd {
                socket.socket
            }
        }

        #[doc = concat!("The descriptor is not checked: ", $should, ", and be in non-blocking mode if it is polled.")]
        impl From<rustix::fd::OwnedFd> for $socket {
            #[inline]
            fn from(socket: rustix::fd::OwnedFd) -> $socket {
                $socket { socket }
            }
        }
    };
}

/// Methods of a socket with a known peer: receiving and sending bytes.
macro_rules! stream {
    ($socket:ident) => {
        impl $socket {
            /// Receives available bytes, at most the length of `buffer`. Returns 0 at the end of a stream, and for an
            /// empty buffer or datagram. recv(2).
            ///
            /// # Errors
            /// `WouldBlock` if no bytes are available; `ConnectionReset` if the peer aborted the connection.
            #[inline]
            pub fn recv(&self, buffer: &mut [u8]) -> $crate::io::Result<usize> {
                $crate::socket::ops::recv(
                    rustix::fd::AsFd::as_fd(&self.socket),
                    buffer,
                    rustix::net::RecvFlags::empty(),
                )
            }

            /// Receives into uninitialised memory and returns the initialised part.
            ///
            /// # Errors
            /// As [`recv`](Self::recv).
            #[inline]
            pub fn recv_uninit<'a>(
                &self,
                buffer: &'a mut [core::mem::MaybeUninit<u8>],
            ) -> $crate::io::Result<&'a mut [u8]> {
                $crate::socket::ops::recv_uninit(rustix::fd::AsFd::as_fd(&self.socket), buffer)
            }

            /// Receives into the spare capacity of `buffer`, which is neither cleared nor grown. Returns the number of
            /// appended bytes.
            ///
            /// # Errors
            /// As [`recv`](Self::recv).
            #[cfg(feature = "std")]
            #[inline]
            pub fn recv_spare(&self, buffer: &mut Vec<u8>) -> $crate::io::Result<usize> {
                let count = self.recv_uninit(buffer.spare_capacity_mut())?.len();
                // SAFETY: recv has initialised `count` bytes after the length, within the capacity.
                unsafe { buffer.set_len(buffer.len() + count) };
                Ok(count)
            }

            /// Receives into several buffers in order. readv(2).
            ///
            /// # Errors
            /// As [`recv`](Self::recv).
            pub fn recv_vectored(&self, buffers: &mut [$crate::io::IoSliceMut<'_>]) -> $crate::io::Result<usize> {
                Ok(rustix::io::retry_on_intr(|| {
                    rustix::io::readv(&self.socket, &mut *buffers)
                })?)
            }

            /// Receives without removing the bytes from the queue. recv(2), `MSG_PEEK`.
            ///
            /// # Errors
            /// As [`recv`](Self::recv).
            pub fn peek(&self, buffer: &mut [u8]) -> $crate::io::Result<usize> {
                $crate::socket::ops::recv(
                    rustix::fd::AsFd::as_fd(&self.socket),
                    buffer,
                    rustix::net::RecvFlags::PEEK,
                )
            }

            /// Sends as many of `bytes` as the send buffer has room for, and returns their number; send the rest when
            /// the socket is writable. A closed connection is an error, never a SIGPIPE. send(2).
            ///
            /// # Errors
            /// `WouldBlock` if the send buffer is full; `BrokenPipe` or `ConnectionReset` if the connection is closed.
            #[inline]
            pub fn send(&self, bytes: &[u8]) -> $crate::io::Result<usize> {
                $crate::socket::ops::send(rustix::fd::AsFd::as_fd(&self.socket), bytes)
            }

            /// Sends several slices with one call; otherwise as [`send`](Self::send). Systems limit the number of
            /// slices (1024 on Linux). sendmsg(2).
            ///
            /// # Errors
            /// As [`send`](Self::send); `EMSGSIZE` or `EINVAL` for too many slices.
            #[inline]
            pub fn send_vectored(&self, pieces: &[$crate::io::IoSlice<'_>]) -> $crate::io::Result<usize> {
                Ok(rustix::io::retry_on_intr(|| {
                    rustix::net::sendmsg(
                        &self.socket,
                        pieces,
                        &mut rustix::net::SendAncillaryBuffer::default(),
                        $crate::sys::socket::SEND_FLAGS,
                    )
                })?)
            }

            /// Sends slices together with control messages. sendmsg(2).
            ///
            /// # Errors
            /// As [`send`](Self::send); `EINVAL` or `EPERM` for control messages that the socket or process must not
            /// send.
            pub fn send_message<const WORDS: usize>(
                &self,
                pieces: &[$crate::io::IoSlice<'_>],
                control: &$crate::SendControl<'_, WORDS>,
            ) -> $crate::io::Result<usize> {
                $crate::socket::ops::send_message(rustix::fd::AsFd::as_fd(&self.socket), pieces, None, control, 0)
            }

            /// Closes one direction or both, for all descriptors of this socket. shutdown(2).
            ///
            /// # Errors
            /// `NotConnected` if the socket is not connected.
            pub fn shutdown(&self, how: impl Into<$crate::Shutdown>) -> $crate::io::Result<()> {
                $crate::socket::ops::shutdown(rustix::fd::AsFd::as_fd(&self.socket), how.into())
            }
        }

        $crate::socket::methods::messages!($socket);
    };
}

/// Methods for receiving with control messages.
macro_rules! messages {
    ($socket:ident) => {
        impl $socket {
            /// Receives into `buffers`, and replaces the messages in `control` by the received ones. recvmsg(2).
            ///
            /// # Errors
            /// As for receiving without control messages.
            pub fn receive_message<const WORDS: usize>(
                &self,
                buffers: &mut [$crate::io::IoSliceMut<'_>],
                control: &mut $crate::ReceiveControl<WORDS>,
            ) -> $crate::io::Result<$crate::Received> {
                $crate::socket::ops::receive_message(rustix::fd::AsFd::as_fd(&self.socket), buffers, control, 0)
            }
        }
    };
}

/// Methods of a socket that sends single messages, each to an address.
macro_rules! datagram {
    ($socket:ident) => {
        impl $socket {
            /// Sends slices as one datagram to `to`, together with control messages. sendmsg(2).
            ///
            /// # Errors
            /// `WouldBlock` if the send buffer is full; `EMSGSIZE` if the datagram is too long; `EINVAL` or `EPERM` for
            /// control messages that the socket or process must not send.
            pub fn send_message_to<const WORDS: usize>(
                &self,
                pieces: &[$crate::io::IoSlice<'_>],
                to: &$crate::Address,
                control: &$crate::SendControl<'_, WORDS>,
            ) -> $crate::io::Result<usize> {
                $crate::socket::ops::send_message(
                    rustix::fd::AsFd::as_fd(&self.socket),
                    pieces,
                    Some(to),
                    control,
                    0,
                )
            }
        }
    };
}

/// `Read` and `Write` for a socket and for a shared reference to it.
#[cfg(feature = "std")]
macro_rules! std_stream {
    ($socket:ident) => {
        $crate::socket::methods::std_stream!(@impl $socket);
        $crate::socket::methods::std_stream!(@impl &$socket);
    };
    (@impl $socket:ty) => {
        impl std::io::Read for $socket {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.recv(buffer)
            }

            fn read_vectored(&mut self, buffers: &mut [std::io::IoSliceMut<'_>]) -> std::io::Result<usize> {
                self.recv_vectored(buffers)
            }
        }

        impl std::io::Write for $socket {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.send(bytes)
            }

            fn write_vectored(&mut self, pieces: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                self.send_vectored(pieces)
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
    };
}

#[cfg(not(feature = "std"))]
macro_rules! std_stream {
    ($socket:ident) => {};
}

/// Conversions from and to the corresponding socket of `std`.
#[cfg(feature = "std")]
macro_rules! std_conversions {
    ($socket:ident, $std:ty) => {
        /// The socket remains in non-blocking mode.
        impl From<$socket> for $std {
            fn from(socket: $socket) -> $std {
                socket.socket.into()
            }
        }

        impl TryFrom<$std> for $socket {
            type Error = std::io::Error;

            /// Takes ownership of the socket and sets it to non-blocking mode.
            fn try_from(socket: $std) -> std::io::Result<$socket> {
                socket.set_nonblocking(true)?;
                Ok($socket {
                    socket: socket.into(),
                })
            }
        }
    };
}

#[cfg(not(feature = "std"))]
macro_rules! std_conversions {
    ($socket:ident, $std:ty) => {};
}

/// Conversions from and to [`Socket`](crate::Socket), for operations that the typed socket lacks.
macro_rules! socket_conversions {
    ($socket:ident) => {
        impl From<$socket> for $crate::Socket {
            fn from(socket: $socket) -> $crate::Socket {
                socket.socket.into()
            }
        }

        impl From<$crate::Socket> for $socket {
            fn from(socket: $crate::Socket) -> $socket {
                $socket {
                    socket: socket.into(),
                }
            }
        }
    };
}

pub(crate) use {common, datagram, messages, socket_conversions, std_conversions, std_stream, stream};
