//! The representation of option values in Rust and in the kernel.

use crate::Address;
use core::fmt;
use core::mem::offset_of;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use libc::c_int;
use rustix::io::Errno;

/// The form of an option's value: what it is in Rust, and its bytes in the kernel.
pub trait Codec {
    /// The value in Rust.
    type Value;

    /// Hands the kernel's bytes for `value` to `set`.
    ///
    /// # Errors
    /// What `set` gives, and `EINVAL` for a value that has no form in the kernel.
    fn encode(value: Self::Value, set: impl FnOnce(&[u8]) -> Result<(), Errno>) -> Result<(), Errno>;

    /// Lets `get` fill a buffer (it says how many bytes it filled) and makes the value of it.
    ///
    /// # Errors
    /// What `get` gives, and `EINVAL` for bytes that are no value.
    fn decode(get: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<Self::Value, Errno>;
}

/// On or off: `bool`, an int in the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Flag;
/// A number: `u32`, an int in the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Number;
/// A number of 64 bits: `u64`.
#[derive(Clone, Copy, Debug)]
pub struct Number64;
/// A number: `u8`, which the BSDs have as one byte and Linux takes as such.
#[derive(Clone, Copy, Debug)]
pub struct Byte;
/// A size in bytes: `usize`, an int in the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Bytes;
/// A [`Duration`] in whole seconds; parts of a second are rounded up.
#[derive(Clone, Copy, Debug)]
pub struct Seconds;
/// A [`Duration`] in whole milliseconds, rounded up.
#[derive(Clone, Copy, Debug)]
pub struct Milliseconds;
/// A [`Duration`] in whole microseconds, rounded up.
#[derive(Clone, Copy, Debug)]
pub struct Microseconds;
/// A [`Duration`] as a timeval of microseconds, rounded up; zero is no limit.
#[derive(Clone, Copy, Debug)]
pub struct Timeval;
/// `Option<Duration>` in whole seconds, as `struct linger`.
#[derive(Clone, Copy, Debug)]
pub struct Linger;
/// A short text: [`Name`].
#[derive(Clone, Copy, Debug)]
pub struct Text;
/// An interface's number, in `struct ip_mreqn`.
#[derive(Clone, Copy, Debug)]
pub struct Interface4;
/// A multicast group on an interface: [`Membership`].
#[derive(Clone, Copy, Debug)]
pub struct Group;
/// A multicast group and one sender: [`SourceMembership`].
#[derive(Clone, Copy, Debug)]
pub struct SourceGroup;
/// The number of sockets that share the port: `u32`, turned into a filter program that returns the receiving CPU modulo it.
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
                // Some of the BSDs' flags are one byte.
                let raw = if filled == 1 { c_int::from(bytes[0]) } else { c_int::from_ne_bytes(bytes) };
                let from: fn(c_int) -> $value = $from;
                Ok(from(raw))
            }
        }
    )*};
}

int_codec! {
    Flag: bool, |on| Some(c_int::from(on)), |raw| raw != 0;
    // Marks and the like use all 32 bits.
    Number: u32, |number| Some(number as c_int), |raw| raw as u32;
    Bytes: usize, |bytes| c_int::try_from(bytes).ok(), |raw| raw as u32 as usize;
    Seconds: Duration, |time| units(time, 1_000_000_000), |raw| Duration::from_secs(raw.max(0) as u64);
    Milliseconds: Duration, |time| units(time, 1_000_000), |raw| Duration::from_millis(raw.max(0) as u64);
    Microseconds: Duration, |time| units(time, 1_000), |raw| Duration::from_micros(raw.max(0) as u64);
}

/// A part of a unit is a wait, not none: it counts as a whole one.
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
            // Kernels before the 64-bit form give an int, of which all ones is no limit.
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

/// A C structure as the kernel's bytes.
///
/// # Safety
/// Every byte of the type must be initialised: it must have no padding.
unsafe fn bytes_of<T>(value: &T) -> &[u8] {
    // SAFETY: the caller's promise; the slice borrows the value.
    unsafe { core::slice::from_raw_parts(core::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// A C structure of integers that the kernel fills; what it leaves out stays zero.
///
/// # Safety
/// Every pattern of bits must be a value of the type.
unsafe fn filled<T>(get: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<T, Errno> {
    // SAFETY: zero is one of the patterns that the caller vouches for.
    let mut value: T = unsafe { core::mem::zeroed() };
    // SAFETY: the slice covers the value alone and every byte may be written.
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
        // SAFETY: integers.
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
        // SAFETY: two ints without padding.
        set(unsafe { bytes_of(&raw) })
    }

    fn decode(get: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<Option<Duration>, Errno> {
        // SAFETY: integers.
        let raw: libc::linger = unsafe { filled(get)? };
        Ok((raw.l_onoff != 0).then(|| Duration::from_secs(raw.l_linger.max(0) as u64)))
    }
}

/// A short name: of an interface or of an algorithm, at most 16 bytes.
///
/// ```
/// let name = conduit_net::option::Name::from("cubic");
/// assert_eq!(name.as_str(), "cubic");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name {
    bytes: [u8; 16],
    /// `length > 16`: too long to be a name, which setting refuses.
    length: u8,
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.length).min(16)]).unwrap_or_default()
    }
}

impl From<&str> for Name {
    /// A text of more than 16 bytes is cut, and refused as invalid where it is set.
    fn from(text: &str) -> Name {
        let mut bytes = [0; 16];
        let kept = text.floor_char_boundary(16);
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
        if name.length > 16 {
            return Err(Errno::INVAL);
        }
        set(&name.bytes[..usize::from(name.length)])
    }

    fn decode(get: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<Name, Errno> {
        let mut bytes = [0; 16];
        let filled = get(&mut bytes)?;
        let length = bytes[..filled].iter().position(|&byte| byte == 0).unwrap_or(filled);
        Ok(Name {
            bytes,
            length: length as u8,
        })
    }
}

/// A multicast group, IPv4 or IPv6, and the number of the interface (0: as the routes say).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Membership {
    /// The group's address.
    pub group: IpAddr,
    /// The interface's number.
    pub interface: u32,
}

/// A [`Membership`] for what one sender sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceMembership {
    /// The group's address.
    pub group: IpAddr,
    /// The sender's address.
    pub source: IpAddr,
    /// The interface's number.
    pub interface: u32,
}

/// `struct group_source_req` of RFC 3678; `struct group_req` is its beginning.
#[repr(C)]
pub(crate) struct GroupSource {
    pub(crate) interface: u32,
    pub(crate) group: libc::sockaddr_storage,
    pub(crate) source: libc::sockaddr_storage,
}

/// The bytes of a [`GroupSource`], made one field at a time: a structure's padding would not be initialised.
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
    // SAFETY: that many bytes of the address are initialised.
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
        // SAFETY: three fields of four bytes without padding.
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
        // A = the CPU's number (an absolute load from the address SKF_AD_OFF + SKF_AD_CPU); A %= sockets; return A.
        // The numbers are those of linux/filter.h, and of no other system.
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
        // One field at a time: a structure's padding would not be initialised.
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
        // `program` lives until the kernel has copied it.
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
    /// The process.
    pub process: i32,
    /// Its effective user.
    pub user: u32,
    /// Its effective group.
    pub group: u32,
}

impl Codec for PeerCredentials {
    type Value = Credentials;

    fn encode(_value: Credentials, _set: impl FnOnce(&[u8]) -> Result<(), Errno>) -> Result<(), Errno> {
        Err(Errno::OPNOTSUPP)
    }

    fn decode(get: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<Credentials, Errno> {
        // SAFETY: three integers, laid out as `struct ucred`.
        unsafe { filled(get) }
    }
}

/// The system's information about a TCP connection. Fields that an old kernel does not fill are zero. tcp(7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpInfo {
    /// The state, as in `linux/tcp_states.h`: 1 is established, 7 closed, 8 close-wait, 10 listening.
    pub state: u8,
    /// The smoothed time of a round trip.
    pub round_trip: Duration,
    /// Its mean deviation.
    pub round_trip_variance: Duration,
    /// The shortest seen.
    pub round_trip_minimum: Duration,
    /// The timeout for an acknowledgement.
    pub retransmission_timeout: Duration,
    /// The largest segment that is sent, in bytes.
    pub send_segment_bytes: u32,
    /// The path's largest packet, in bytes.
    pub path_bytes: u32,
    /// The congestion window, in segments.
    pub congestion_window: u32,
    /// Segments sent and not acknowledged.
    pub unacknowledged: u32,
    /// Segments held to be lost.
    pub lost: u32,
    /// Segments sent again, ever.
    pub retransmitted: u32,
    /// Probes and repetitions without an answer, now.
    pub unanswered: u8,
    /// Bytes that the peer has acknowledged.
    pub bytes_acknowledged: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes in the send buffer that were not sent yet.
    pub not_sent_bytes: u32,
    /// The rate of delivery, in bytes per second.
    pub delivery_rate: u64,
    /// Segments with data that were received, ever.
    pub data_segments_received: u32,
    /// Segments with data that were sent, ever.
    pub data_segments_sent: u32,
}

/// `struct tcp_info` up to the fields that are used; the kernel fills as much as there is room for.
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
        // SAFETY: integers.
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
            data_segments_received: raw.data_segs_in,
            data_segments_sent: raw.data_segs_out,
        })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// `layouts.txt` is compared with the C headers by an integration test; this holds the structures to it.
    #[test]
    fn the_layouts_are_those_that_are_compared_with_c() {
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
        // The beginning of the former is the latter.
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
        // The kernel's structure grows at its end.
        layout!(
            @fields "struct tcp_info", RawTcpInfo,
            tcpi_state = state, tcpi_ca_state = ca_state, tcpi_retransmits = retransmits, tcpi_probes = probes, tcpi_backoff = backoff, tcpi_options = options, tcpi_rto = rto, tcpi_ato = ato, tcpi_snd_mss = snd_mss, tcpi_rcv_mss = rcv_mss, tcpi_unacked = unacked, tcpi_sacked = sacked, tcpi_lost = lost, tcpi_retrans = retrans, tcpi_fackets = fackets, tcpi_last_data_sent = last_data_sent, tcpi_last_ack_sent = last_ack_sent, tcpi_last_data_recv = last_data_recv, tcpi_last_ack_recv = last_ack_recv, tcpi_pmtu = pmtu, tcpi_rcv_ssthresh = rcv_ssthresh, tcpi_rtt = rtt, tcpi_rttvar = rttvar, tcpi_snd_ssthresh = snd_ssthresh, tcpi_snd_cwnd = snd_cwnd, tcpi_advmss = advmss, tcpi_reordering = reordering, tcpi_rcv_rtt = rcv_rtt, tcpi_rcv_space = rcv_space, tcpi_total_retrans = total_retrans, tcpi_pacing_rate = pacing_rate, tcpi_max_pacing_rate = max_pacing_rate, tcpi_bytes_acked = bytes_acked, tcpi_bytes_received = bytes_received, tcpi_segs_out = segs_out, tcpi_segs_in = segs_in, tcpi_notsent_bytes = notsent_bytes, tcpi_min_rtt = min_rtt, tcpi_data_segs_in = data_segs_in, tcpi_data_segs_out = data_segs_out, tcpi_delivery_rate = delivery_rate
        );
        assert_eq!(lines, include_str!("layouts.txt"));
    }
}
