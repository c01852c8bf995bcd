//! Conversion of option values between Rust and the kernel.

use crate::Address;
use core::fmt;
use core::mem::offset_of;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use libc::c_int;
use rustix::io::Errno;

/// The representation of an option's value: its Rust type and its bytes in the kernel.
///
/// A program implements it for the values of an option that it creates with
/// [`SocketOption::raw`](super::SocketOption::raw).
pub trait Codec {
    /// The Rust type of the value.
    type Value;

    /// Passes the kernel representation of `value` to `set`.
    ///
    /// # Errors
    /// The error of `set`, or `EINVAL` for a value without a kernel representation.
    fn encode(value: Self::Value, set: impl FnOnce(&[u8]) -> Result<(), Errno>) -> Result<(), Errno>;

    /// Decodes the bytes that `get` writes into its buffer; `get` returns their number.
    ///
    /// # Errors
    /// The error of `get`, or `EINVAL` for bytes that are not a valid value.
    fn decode(get: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<Self::Value, Errno>;
}

/// A `bool`, an int in the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Flag;
/// A `u32`, an int in the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Number;
/// A `u64`.
#[derive(Clone, Copy, Debug)]
pub struct Number64;
/// A `u8`: one byte on the BSDs, which Linux accepts too.
#[derive(Clone, Copy, Debug)]
pub struct Byte;
/// A `bool` of one byte, which all systems accept for some options, and OpenBSD and NetBSD require.
#[derive(Clone, Copy, Debug)]
pub struct ByteFlag;
/// A size in bytes as a `usize`, an int in the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Bytes;
/// A [`Duration`] in whole seconds, rounded up.
#[derive(Clone, Copy, Debug)]
pub struct Seconds;
/// A [`Duration`] in whole milliseconds, rounded up.
#[derive(Clone, Copy, Debug)]
pub struct Milliseconds;
/// A [`Duration`] in whole microseconds, rounded up.
#[derive(Clone, Copy, Debug)]
pub struct Microseconds;
/// A [`Duration`] as a timeval, in microseconds, rounded up; zero means no limit.
#[derive(Clone, Copy, Debug)]
pub struct Timeval;
/// An `Option<Duration>` in whole seconds, as `struct linger`.
#[derive(Clone, Copy, Debug)]
pub struct Linger;
/// A short string: [`Name`].
#[derive(Clone, Copy, Debug)]
pub struct Text;
/// The index of an interface, in `struct ip_mreqn`.
#[derive(Clone, Copy, Debug)]
pub struct Interface4;
/// A multicast group on an interface: [`Membership`].
#[derive(Clone, Copy, Debug)]
pub struct Group;
/// A multicast group and one source: [`SourceMembership`].
#[derive(Clone, Copy, Debug)]
pub struct SourceGroup;
/// The number of sockets that share the port, as a `u32`: it becomes a filter program that returns the receiving CPU
/// modulo this number.
#[derive(Clone, Copy, Debug)]
pub struct Steering;
/// [`TcpInfo`].
#[derive(Clone, Copy, Debug)]
pub struct Info;
/// [`Credentials`].
#[derive(Clone, Copy, Debug)]
pub struct PeerCredentials;

/// A codec whose value is an int in the kernel.
macro_rules! int_codec {
    ($($codec:ident: $value:ty, $to:expr, $from:expr;)*) => {$(
        impl Codec for $codec {
            type Value = $value;

            fn encode(value: $value, set: impl FnOnce(&[u8]) -> Result<(), Errno>) -> Result<(), Errno> {
                let to: fn($value) -> Option<c_int> = $to;
                set(&to(value).ok_or(Errno::INVAL)?.to_ne_bytes())
            }

            fn decode(get: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<$value, Errno> {
                let mut bytes = [0; size_of::<c_int>()];
                let filled = get(&mut bytes)?;
                // Some flags of the BSDs have one byte.
                let raw = if filled == 1 { c_int::from(bytes[0]) } else { c_int::from_ne_bytes(bytes) };
                let from: fn(c_int) -> $value = $from;
                Ok(from(raw))
            }
        }
    )*};
}

int_codec! {
    Flag: bool, |on| Some(c_int::from(on)), |raw| raw != 0;
    // Values such as packet marks use all 32 bits.
    Number: u32, |number| Some(number as c_int), |raw| raw as u32;
    Bytes: usize, |bytes| c_int::try_from(bytes).ok(), |raw| raw as u32 as usize;
    Seconds: Duration, |time| units(time, 1_000_000_000), |raw| Duration::from_secs(raw.max(0) as u64);
    Milliseconds: Duration, |time| units(time, 1_000_000), |raw| Duration::from_millis(raw.max(0) as u64);
    Microseconds: Duration, |time| units(time, 1_000), |raw| Duration::from_micros(raw.max(0) as u64);
}

/// A fraction of a unit counts as a whole unit, so that a short timeout does not become zero.
fn units(time: Duration, nanoseconds: u128) -> Option<c_int> {
    c_int::try_from(time.as_nanos().div_ceil(nanoseconds)).ok()
}

impl Codec for Number64 {
    type Value = u64;

    fn encode(value: u64, set: impl FnOnce(&[u8]) -> Result<(), Errno>) -> Result<(), Errno> {
        set(&value.to_ne_bytes())
    }

    fn decode(get: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<u64, Errno> {
        let mut bytes = [0; 8];
        match get(&mut bytes)? {
            // Kernels before the 64-bit value return an int, in which all ones means no limit.
            4 => Ok(match u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) {
                u32::MAX => u64::MAX,
                number => number.into(),
            }),
            _ => Ok(u64::from_ne_bytes(bytes)),
        }
    }
}

impl Codec for Byte {
    type Value = u8;

    fn encode(value: u8, set: impl FnOnce(&[u8]) -> Result<(), Errno>) -> Result<(), Errno> {
        set(&[value])
    }

    fn decode(get: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<u8, Errno> {
        let mut bytes = [0];
        get(&mut bytes)?;
        Ok(bytes[0])
    }
}

impl Codec for ByteFlag {
    type Value = bool;

    fn encode(value: bool, set: impl FnOnce(&[u8]) -> Result<(), Errno>) -> Result<(), Errno> {
        Byte::encode(value.into(), set)
    }

    fn decode(get: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<bool, Errno> {
        Ok(Byte::decode(get)? != 0)
    }
}

/// Returns the bytes of a C structure.
///
/// # Safety
/// Every byte of the value must be initialised: the type has no padding.
unsafe fn bytes_of<T>(value: &T) -> &[u8] {
    // SAFETY: the caller guarantees that every byte is initialised; the slice borrows the value.
    unsafe { core::slice::from_raw_parts(core::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// Returns a C structure of integers that `get` fills; bytes that it does not write are zero.
///
/// # Safety
/// Every bit pattern must be a valid value of the type.
unsafe fn filled<T>(get: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<T, Errno> {
    // SAFETY: the caller guarantees that every bit pattern is valid, so zero is.
    let mut value: T = unsafe { core::mem::zeroed() };
    // SAFETY: the slice covers exactly the value, and every byte may be written.
    get(unsafe { core::slice::from_raw_parts_mut((&raw mut value).cast(), size_of::<T>()) })?;
    Ok(value)
}

impl Codec for Timeval {
    type Value = Duration;

    fn encode(time: Duration, set: impl FnOnce(&[u8]) -> Result<(), Errno>) -> Result<(), Errno> {
        let microseconds = time.as_nanos().div_ceil(1_000);
        let seconds: libc::time_t = (microseconds / 1_000_000).try_into().map_err(|_| Errno::INVAL)?;
        let mut bytes = [0; size_of::<libc::timeval>()];
        put(&mut bytes, offset_of!(libc::timeval, tv_sec), &seconds.to_ne_bytes());
        let rest = (microseconds % 1_000_000) as libc::suseconds_t;
        put(&mut bytes, offset_of!(libc::timeval, tv_usec), &rest.to_ne_bytes());
        set(&bytes)
    }

    fn decode(get: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<Duration, Errno> {
        // SAFETY: a structure of integers.
        let raw: libc::timeval = unsafe { filled(get)? };
        Ok(Duration::new(
            raw.tv_sec.max(0) as u64,
            raw.tv_usec.clamp(0, 999_999) as u32 * 1_000,
        ))
    }
}

impl Codec for Linger {
    type Value = Option<Duration>;

    fn encode(limit: Option<Duration>, set: impl FnOnce(&[u8]) -> Result<(), Errno>) -> Result<(), Errno> {
        let seconds = units(limit.unwrap_or_default(), 1_000_000_000).ok_or(Errno::INVAL)?;
        let raw = libc::linger {
            l_onoff: c_int::from(limit.is_some()),
            l_linger: seconds,
        };
        // SAFETY: two ints, without padding.
        set(unsafe { bytes_of(&raw) })
    }

    fn decode(get: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<Option<Duration>, Errno> {
        // SAFETY: a structure of integers.
        let raw: libc::linger = unsafe { filled(get)? };
        Ok((raw.l_onoff != 0).then(|| Duration::from_secs(raw.l_linger.max(0) as u64)))
    }
}

/// The name of an interface or of an algorithm, at most 15 bytes (`IFNAMSIZ` and `TCP_CA_NAME_MAX` include a zero byte).
///
/// ```
/// let name = conduit_net::option::Name::from("cubic");
/// assert_eq!(name.as_str(), "cubic");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name {
    bytes: [u8; Name::CAPACITY],
    /// The length of the original text. `length > 16` means that it was truncated.
    length: u8,
}

impl Name {
    /// The size of the kernel's buffers, which end with a zero byte.
    const CAPACITY: usize = 16;

    /// The name as a string.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.kept()).unwrap_or_default()
    }

    fn kept(&self) -> &[u8] {
        let mut kept = &self.bytes[..usize::from(self.length).min(Name::CAPACITY)];
        // A text that was truncated before a character of several bytes ends earlier.
        if usize::from(self.length) > Name::CAPACITY {
            while let [rest @ .., 0] = kept {
                kept = rest;
            }
        }
        kept
    }
}

impl From<&str> for Name {
    /// Setting a text of more than 15 bytes, or one with a zero byte, returns `EINVAL`: Linux would set another name,
    /// which ends there. A text of more than 16 bytes is truncated.
    fn from(text: &str) -> Name {
        let mut bytes = [0; Name::CAPACITY];
        let kept = text.floor_char_boundary(Name::CAPACITY);
        bytes[..kept].copy_from_slice(&text.as_bytes()[..kept]);
        Name {
            bytes,
            length: text.len().min(usize::from(u8::MAX)) as u8,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Codec for Text {
    type Value = Name;

    fn encode(name: Name, set: impl FnOnce(&[u8]) -> Result<(), Errno>) -> Result<(), Errno> {
        if usize::from(name.length) >= Name::CAPACITY || name.kept().contains(&0) {
            return Err(Errno::INVAL);
        }
        set(name.kept())
    }

    fn decode(get: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<Name, Errno> {
        let mut bytes = [0; Name::CAPACITY];
        let filled = get(&mut bytes)?;
        let length = bytes[..filled].iter().position(|&byte| byte == 0).unwrap_or(filled);
        Ok(Name {
            bytes,
            length: length as u8,
        })
    }
}

/// A multicast group, IPv4 or IPv6, and the index of the interface (0: the routing table selects it).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Membership {
    /// The address of the group.
    pub group: IpAddr,
    /// The index of the interface.
    pub interface: u32,
}

/// A [`Membership`] that is limited to the datagrams of one sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceMembership {
    /// The address of the group.
    pub group: IpAddr,
    /// The address of the sender.
    pub source: IpAddr,
    /// The index of the interface.
    pub interface: u32,
}

/// `struct group_source_req` of RFC 3678; its first fields are `struct group_req`.
#[repr(C)]
pub(crate) struct GroupSource {
    pub(crate) interface: u32,
    pub(crate) group: libc::sockaddr_storage,
    pub(crate) source: libc::sockaddr_storage,
}

/// The bytes of a [`GroupSource`], written field by field, because the padding of a structure is uninitialised.
fn group_source(
    group: IpAddr,
    source: Option<IpAddr>,
    interface: u32,
) -> Result<[u8; size_of::<GroupSource>()], Errno> {
    let mut bytes = [0; size_of::<GroupSource>()];
    put(&mut bytes, offset_of!(GroupSource, interface), &interface.to_ne_bytes());
    put_address(&mut bytes, offset_of!(GroupSource, group), group)?;
    if let Some(source) = source {
        put_address(&mut bytes, offset_of!(GroupSource, source), source)?;
    }
    Ok(bytes)
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn put_address(bytes: &mut [u8], at: usize, address: IpAddr) -> Result<(), Errno> {
    let raw = Address::from(SocketAddr::new(address, 0))
        .to_raw()
        .map_err(|_| Errno::AFNOSUPPORT)?;
    // SAFETY: this number of bytes of the address is initialised.
    put(bytes, at, unsafe {
        core::slice::from_raw_parts(raw.as_ptr().cast(), raw.addr_len() as usize)
    });
    Ok(())
}

impl Codec for Group {
    type Value = Membership;

    fn encode(value: Membership, set: impl FnOnce(&[u8]) -> Result<(), Errno>) -> Result<(), Errno> {
        let bytes = group_source(value.group, None, value.interface)?;
        set(&bytes[..offset_of!(GroupSource, source)])
    }

    fn decode(_get: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<Membership, Errno> {
        Err(Errno::OPNOTSUPP)
    }
}

impl Codec for SourceGroup {
    type Value = SourceMembership;

    fn encode(value: SourceMembership, set: impl FnOnce(&[u8]) -> Result<(), Errno>) -> Result<(), Errno> {
        set(&group_source(value.group, Some(value.source), value.interface)?)
    }

    fn decode(_get: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<SourceMembership, Errno> {
        Err(Errno::OPNOTSUPP)
    }
}

/// `struct ip_mreqn`.
#[repr(C)]
pub(crate) struct MulticastRequest {
    pub(crate) group: [u8; 4],
    pub(crate) address: [u8; 4],
    pub(crate) interface: c_int,
}

impl Codec for Interface4 {
    type Value = u32;

    fn encode(index: u32, set: impl FnOnce(&[u8]) -> Result<(), Errno>) -> Result<(), Errno> {
        let raw = MulticastRequest {
            group: [0; 4],
            address: [0; 4],
            interface: index as c_int,
        };
        // SAFETY: three fields of four bytes, without padding.
        set(unsafe { bytes_of(&raw) })
    }

    fn decode(_get: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<u32, Errno> {
        Err(Errno::OPNOTSUPP)
    }
}

/// `struct sock_filter`: one instruction of a classic packet filter.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Instruction {
    pub(crate) code: u16,
    pub(crate) if_true: u8,
    pub(crate) if_false: u8,
    pub(crate) operand: u32,
}

/// `struct sock_fprog`.
#[repr(C)]
pub(crate) struct Program {
    pub(crate) length: u16,
    pub(crate) instructions: *const Instruction,
}

impl Codec for Steering {
    type Value = u32;

    fn encode(sockets: u32, set: impl FnOnce(&[u8]) -> Result<(), Errno>) -> Result<(), Errno> {
        if sockets == 0 {
            return Err(Errno::INVAL);
        }
        // A = the number of the CPU (an absolute load from SKF_AD_OFF + SKF_AD_CPU); A %= sockets; return A. The
        // opcodes are those of linux/filter.h.
        let instruction = |code, operand| Instruction {
            code,
            if_true: 0,
            if_false: 0,
            operand,
        };
        let program = [
            instruction(0x20, (-0x1000_i32 + 36) as u32),
            instruction(0x94, sockets),
            instruction(0x16, 0),
        ];
        // Field by field: the padding of a structure is uninitialised.
        let mut bytes = [0; size_of::<Program>()];
        put(
            &mut bytes,
            offset_of!(Program, length),
            &(program.len() as u16).to_ne_bytes(),
        );
        put(
            &mut bytes,
            offset_of!(Program, instructions),
            &program.as_ptr().expose_provenance().to_ne_bytes(),
        );
        // `program` is live until the kernel has copied it.
        set(&bytes)
    }

    fn decode(_get: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<u32, Errno> {
        Err(Errno::OPNOTSUPP)
    }
}

/// A process and its user and group.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// The process ID.
    pub process: i32,
    /// The effective user ID.
    pub user: u32,
    /// The effective group ID.
    pub group: u32,
}

impl Codec for PeerCredentials {
    type Value = Credentials;

    fn encode(_value: Credentials, _set: impl FnOnce(&[u8]) -> Result<(), Errno>) -> Result<(), Errno> {
        Err(Errno::OPNOTSUPP)
    }

    fn decode(get: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<Credentials, Errno> {
        // SAFETY: three integers in the layout of `struct ucred`.
        unsafe { filled(get) }
    }
}

/// Kernel statistics of a TCP connection. Fields that the kernel does not support are zero. tcp(7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpInfo {
    /// The state, as in `linux/tcp_states.h`: 1 is established, 7 closed, 8 close-wait, 10 listening.
    pub state: u8,
    /// The smoothed round-trip time.
    pub round_trip: Duration,
    /// The mean deviation of the round-trip time.
    pub round_trip_variance: Duration,
    /// The minimum round-trip time.
    pub round_trip_minimum: Duration,
    /// The retransmission timeout.
    pub retransmission_timeout: Duration,
    /// The maximum size of sent segments, in bytes.
    pub send_segment_bytes: u32,
    /// The path MTU, in bytes.
    pub path_bytes: u32,
    /// The congestion window, in segments.
    pub congestion_window: u32,
    /// The number of unacknowledged segments.
    pub unacknowledged: u32,
    /// The number of segments that are assumed to be lost.
    pub lost: u32,
    /// The total number of retransmitted segments.
    pub retransmitted: u32,
    /// The current number of probes and retransmissions without an acknowledgement.
    pub unanswered: u8,
    /// The number of bytes that the peer has acknowledged.
    pub bytes_acknowledged: u64,
    /// The number of received bytes.
    pub bytes_received: u64,
    /// The number of unsent bytes in the send buffer.
    pub not_sent_bytes: u32,
    /// The delivery rate, in bytes per second.
    pub delivery_rate: u64,
    /// The total number of received segments, with and without data.
    pub segments_received: u32,
    /// The total number of received segments with data.
    pub data_segments_received: u32,
    /// The total number of sent segments with data.
    pub data_segments_sent: u32,
}

/// The used prefix of `struct tcp_info`; the kernel writes at most the length of the buffer.
#[repr(C)]
pub(crate) struct RawTcpInfo {
    pub(crate) state: u8,
    pub(crate) ca_state: u8,
    pub(crate) retransmits: u8,
    pub(crate) probes: u8,
    pub(crate) backoff: u8,
    pub(crate) options: u8,
    pub(crate) wscale: u8,
    pub(crate) flags: u8,
    pub(crate) rto: u32,
    pub(crate) ato: u32,
    pub(crate) snd_mss: u32,
    pub(crate) rcv_mss: u32,
    pub(crate) unacked: u32,
    pub(crate) sacked: u32,
    pub(crate) lost: u32,
    pub(crate) retrans: u32,
    pub(crate) fackets: u32,
    pub(crate) last_data_sent: u32,
    pub(crate) last_ack_sent: u32,
    pub(crate) last_data_recv: u32,
    pub(crate) last_ack_recv: u32,
    pub(crate) pmtu: u32,
    pub(crate) rcv_ssthresh: u32,
    pub(crate) rtt: u32,
    pub(crate) rttvar: u32,
    pub(crate) snd_ssthresh: u32,
    pub(crate) snd_cwnd: u32,
    pub(crate) advmss: u32,
    pub(crate) reordering: u32,
    pub(crate) rcv_rtt: u32,
    pub(crate) rcv_space: u32,
    pub(crate) total_retrans: u32,
    pub(crate) pacing_rate: u64,
    pub(crate) max_pacing_rate: u64,
    pub(crate) bytes_acked: u64,
    pub(crate) bytes_received: u64,
    pub(crate) segs_out: u32,
    pub(crate) segs_in: u32,
    pub(crate) notsent_bytes: u32,
    pub(crate) min_rtt: u32,
    pub(crate) data_segs_in: u32,
    pub(crate) data_segs_out: u32,
    pub(crate) delivery_rate: u64,
}

impl Codec for Info {
    type Value = TcpInfo;

    fn encode(_value: TcpInfo, _set: impl FnOnce(&[u8]) -> Result<(), Errno>) -> Result<(), Errno> {
        Err(Errno::OPNOTSUPP)
    }

    fn decode(get: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<TcpInfo, Errno> {
        // SAFETY: a structure of integers.
        let raw: RawTcpInfo = unsafe { filled(get)? };
        let microseconds = |count: u32| Duration::from_micros(count.into());
        Ok(TcpInfo {
            state: raw.state,
            round_trip: microseconds(raw.rtt),
            round_trip_variance: microseconds(raw.rttvar),
            round_trip_minimum: microseconds(raw.min_rtt),
            retransmission_timeout: microseconds(raw.rto),
            send_segment_bytes: raw.snd_mss,
            path_bytes: raw.pmtu,
            congestion_window: raw.snd_cwnd,
            unacknowledged: raw.unacked,
            lost: raw.lost,
            retransmitted: raw.total_retrans,
            unanswered: raw.retransmits.max(raw.probes),
            bytes_acknowledged: raw.bytes_acked,
            bytes_received: raw.bytes_received,
            not_sent_bytes: raw.notsent_bytes,
            delivery_rate: raw.delivery_rate,
            segments_received: raw.segs_in,
            data_segments_received: raw.data_segs_in,
            data_segments_sent: raw.data_segs_out,
        })
    }
}

#[cfg(all(test, feature = "std", target_os = "linux"))]
mod tests {
    use super::*;

    /// Compares the layouts with `layouts.txt`, which an integration test compares with the C headers.
    #[test]
    fn truncated_name_ends_before_an_incomplete_character() {
        let name = |text: &str| Name::from(text).as_str().to_owned();
        assert_eq!(name("fifteen-bytes-x"), "fifteen-bytes-x");
        assert_eq!(name("fifteen-bytes-xé"), "fifteen-bytes-x");
        assert_eq!(name("sixteen-bytes-xyz"), "sixteen-bytes-xy");
    }

    #[test]
    fn layouts_equal_the_c_headers() {
        let mut lines = String::new();
        macro_rules! layout {
            ($c:literal, $rust:ty, $($c_field:ident = $field:ident),*) => {
                lines += &format!("sizeof({}) = {}\n", $c, size_of::<$rust>());
                layout!(@fields $c, $rust, $($c_field = $field),*);
            };
            (@fields $c:literal, $rust:ty, $($c_field:ident = $field:ident),*) => {
                $(lines += &format!("offsetof({}, {}) = {}\n", $c, stringify!($c_field), offset_of!($rust, $field));)*
            };
        }
        layout!(
            "struct group_source_req",
            GroupSource,
            gsr_interface = interface,
            gsr_group = group,
            gsr_source = source
        );
        // `struct group_req` is the prefix of `struct group_source_req`.
        lines += &format!("sizeof(struct group_req) = {}\n", offset_of!(GroupSource, source));
        layout!(@fields "struct group_req", GroupSource, gr_interface = interface, gr_group = group);
        layout!(
            "struct ip_mreqn",
            MulticastRequest,
            imr_multiaddr = group,
            imr_address = address,
            imr_ifindex = interface
        );
        layout!(
            "struct sock_filter",
            Instruction,
            code = code,
            jt = if_true,
            jf = if_false,
            k = operand
        );
        layout!("struct sock_fprog", Program, len = length, filter = instructions);
        // Later kernels append fields to the structure.
        layout!(
            @fields "struct tcp_info", RawTcpInfo,
            tcpi_state = state, tcpi_ca_state = ca_state, tcpi_retransmits = retransmits, tcpi_probes = probes, tcpi_backoff = backoff, tcpi_options = options, tcpi_rto = rto, tcpi_ato = ato, tcpi_snd_mss = snd_mss, tcpi_rcv_mss = rcv_mss, tcpi_unacked = unacked, tcpi_sacked = sacked, tcpi_lost = lost, tcpi_retrans = retrans, tcpi_fackets = fackets, tcpi_last_data_sent = last_data_sent, tcpi_last_ack_sent = last_ack_sent, tcpi_last_data_recv = last_data_recv, tcpi_last_ack_recv = last_ack_recv, tcpi_pmtu = pmtu, tcpi_rcv_ssthresh = rcv_ssthresh, tcpi_rtt = rtt, tcpi_rttvar = rttvar, tcpi_snd_ssthresh = snd_ssthresh, tcpi_snd_cwnd = snd_cwnd, tcpi_advmss = advmss, tcpi_reordering = reordering, tcpi_rcv_rtt = rcv_rtt, tcpi_rcv_space = rcv_space, tcpi_total_retrans = total_retrans, tcpi_pacing_rate = pacing_rate, tcpi_max_pacing_rate = max_pacing_rate, tcpi_bytes_acked = bytes_acked, tcpi_bytes_received = bytes_received, tcpi_segs_out = segs_out, tcpi_segs_in = segs_in, tcpi_notsent_bytes = notsent_bytes, tcpi_min_rtt = min_rtt, tcpi_data_segs_in = data_segs_in, tcpi_data_segs_out = data_segs_out, tcpi_delivery_rate = delivery_rate
        );
        assert_eq!(lines, include_str!("layouts.txt"));
    }
}
