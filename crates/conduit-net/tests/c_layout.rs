//! Every constant and C structure that the crate uses, compared with the headers of the system: a C program prints the
//! values.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::mem::{offset_of, size_of};
use std::path::Path;
use std::process::Command;

const HEADERS: &str = "#define _GNU_SOURCE\n#include <stdio.h>\n#include <stddef.h>\n#include <sys/socket.h>\n#include <sys/un.h>\n\
    #include <netinet/in.h>\n#include <netinet/udp.h>\n#include <sys/epoll.h>\n#include <sys/eventfd.h>\n#include <sys/syscall.h>\n\
    #include <sys/time.h>\n#include <fcntl.h>\n#include <signal.h>\n#include <time.h>\n#include <linux/vm_sockets.h>\n\
    #include <linux/errqueue.h>\n#include <linux/filter.h>\n#include <linux/tcp.h>\n#include <sys/uio.h>\n\
    #include <linux/net_tstamp.h>\n#include <sys/ioctl.h>\n#include <linux/sockios.h>\n#include <errno.h>\n\
    #include <sys/resource.h>\n#include <unistd.h>\n#ifndef SOL_UDP\n#define SOL_UDP 17\n#endif\n";

/// A C expression and the value that Rust expects.
type Claims = Vec<(String, i64)>;

macro_rules! constants {
    ($($name:ident)*) => { vec![$((stringify!($name).to_string(), libc::$name as i64)),*] };
}

/// The size, and the offset of each field: the C and Rust name of the structure and of each field.
macro_rules! layout {
    ($claims:ident, $c:literal, $rust:ty, $($c_field:ident = $field:ident),*) => {
        $claims.push((format!("sizeof({})", $c), size_of::<$rust>() as i64));
        $($claims.push((format!("offsetof({}, {})", $c, stringify!($c_field)), offset_of!($rust, $field) as i64));)*
    };
}

fn constants() -> Claims {
    constants!(
        SOL_SOCKET SOL_UDP IPPROTO_TCP IPPROTO_IP IPPROTO_IPV6 AF_VSOCK CLOCK_MONOTONIC
        SO_REUSEADDR SO_REUSEPORT SO_ATTACH_REUSEPORT_CBPF SO_INCOMING_CPU SO_BINDTODEVICE SO_RCVBUF SO_SNDBUF SO_RCVBUFFORCE
        SO_SNDBUFFORCE SO_RCVLOWAT SO_RCVTIMEO SO_SNDTIMEO SO_BUSY_POLL SO_PRIORITY SO_MARK SO_MAX_PACING_RATE SO_KEEPALIVE
        SO_LINGER SO_ERROR SO_COOKIE SO_PEERCRED SO_BROADCAST SO_TIMESTAMPNS SO_TIMESTAMPING SO_PASSCRED SO_RXQ_OVFL SO_ZEROCOPY
        IP_FREEBIND IP_TRANSPARENT IP_TTL IP_TOS IP_MULTICAST_LOOP IP_MULTICAST_TTL IP_MULTICAST_IF IP_MULTICAST_ALL
        MCAST_JOIN_GROUP MCAST_LEAVE_GROUP MCAST_JOIN_SOURCE_GROUP MCAST_LEAVE_SOURCE_GROUP IP_PKTINFO IP_RECVTTL IP_RECVTOS
        IP_RECVERR IPV6_FREEBIND IPV6_TRANSPARENT IPV6_V6ONLY IPV6_UNICAST_HOPS IPV6_TCLASS IPV6_MULTICAST_LOOP
        IPV6_MULTICAST_HOPS IPV6_MULTICAST_IF IPV6_RECVPKTINFO IPV6_PKTINFO IPV6_RECVHOPLIMIT IPV6_HOPLIMIT IPV6_RECVTCLASS
        IPV6_RECVERR TCP_KEEPIDLE TCP_KEEPINTVL TCP_KEEPCNT TCP_USER_TIMEOUT TCP_NODELAY TCP_CORK TCP_QUICKACK TCP_FASTOPEN
        TCP_FASTOPEN_CONNECT TCP_DEFER_ACCEPT TCP_NOTSENT_LOWAT TCP_CONGESTION TCP_MAXSEG TCP_INFO UDP_SEGMENT UDP_GRO
        SCM_RIGHTS SCM_CREDENTIALS SCM_TIMESTAMPNS SCM_TIMESTAMPING MSG_TRUNC MSG_CTRUNC MSG_NOSIGNAL MSG_ERRQUEUE MSG_ZEROCOPY
        MSG_CMSG_CLOEXEC MSG_WAITFORONE F_GETFD F_SETFD FD_CLOEXEC O_NONBLOCK O_NOCTTY SYS_epoll_pwait2 TIOCOUTQ SIGPIPE SIG_BLOCK SIG_SETMASK
        SIGTERM SIGKILL ESRCH RLIMIT_NOFILE RLIM_INFINITY STDIN_FILENO
    )
}

/// Constants that the crate defines itself, or uses through rustix.
fn others() -> Claims {
    use rustix::event::epoll::EventFlags;
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
    [
        ("VMADDR_CID_ANY", i64::from(conduit_net::VsockAddress::ANY)),
        ("VMADDR_CID_LOCAL", i64::from(conduit_net::VsockAddress::LOCAL)),
        ("VMADDR_CID_HOST", i64::from(conduit_net::VsockAddress::HOST)),
        ("SO_EE_ORIGIN_ZEROCOPY", 5),
        ("SIOCOUTQ", libc::TIOCOUTQ as i64),
        ("SO_EE_CODE_ZEROCOPY_COPIED", 1),
        // The steering program: load, modulo, return.
        ("BPF_LD | BPF_W | BPF_ABS", 0x20),
        ("SKF_AD_OFF + SKF_AD_CPU", -0x1000 + 36),
        ("BPF_ALU | BPF_MOD | BPF_K", 0x94),
        ("BPF_RET | BPF_A", 0x16),
        ("AF_INET", i64::from(AddressFamily::INET.as_raw())),
        ("AF_INET6", i64::from(AddressFamily::INET6.as_raw())),
        ("AF_UNIX", i64::from(AddressFamily::UNIX.as_raw())),
        ("SOCK_STREAM", i64::from(SocketType::STREAM.as_raw())),
        ("SOCK_DGRAM", i64::from(SocketType::DGRAM.as_raw())),
        ("SOCK_SEQPACKET", i64::from(SocketType::SEQPACKET.as_raw())),
        ("SOCK_RAW", i64::from(SocketType::RAW.as_raw())),
        ("SOCK_CLOEXEC", i64::from(SocketFlags::CLOEXEC.bits())),
        ("SOCK_NONBLOCK", i64::from(SocketFlags::NONBLOCK.bits())),
        ("MSG_NOSIGNAL", i64::from(SendFlags::NOSIGNAL.bits())),
        ("MSG_PEEK", i64::from(RecvFlags::PEEK.bits())),
        ("EPOLLIN", i64::from(EventFlags::IN.bits())),
        ("EPOLLOUT", i64::from(EventFlags::OUT.bits())),
        ("EPOLLPRI", i64::from(EventFlags::PRI.bits())),
        ("EPOLLHUP", i64::from(EventFlags::HUP.bits())),
        ("EPOLLERR", i64::from(EventFlags::ERR.bits())),
        ("EPOLLRDHUP", i64::from(EventFlags::RDHUP.bits())),
        ("EPOLLET", i64::from(EventFlags::ET.bits())),
        ("EPOLLONESHOT", i64::from(EventFlags::ONESHOT.bits())),
        ("IPPROTO_UDP", 17),
        ("IPPROTO_ICMP", 1),
        ("IPPROTO_MPTCP", 262),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .into()
}

fn structures() -> Claims {
    let mut claims = Claims::new();
    layout!(
        claims,
        "struct epoll_event",
        rustix::event::epoll::Event,
        events = flags,
        data = data
    );
    layout!(
        claims,
        "struct msghdr",
        libc::msghdr,
        msg_name = msg_name,
        msg_namelen = msg_namelen,
        msg_iov = msg_iov,
        msg_iovlen = msg_iovlen,
        msg_control = msg_control,
        msg_controllen = msg_controllen,
        msg_flags = msg_flags
    );
    layout!(
        claims,
        "struct mmsghdr",
        libc::mmsghdr,
        msg_hdr = msg_hdr,
        msg_len = msg_len
    );
    layout!(
        claims,
        "struct cmsghdr",
        libc::cmsghdr,
        cmsg_len = cmsg_len,
        cmsg_level = cmsg_level,
        cmsg_type = cmsg_type
    );
    layout!(
        claims,
        "struct iovec",
        libc::iovec,
        iov_base = iov_base,
        iov_len = iov_len
    );
    layout!(
        claims,
        "struct timeval",
        libc::timeval,
        tv_sec = tv_sec,
        tv_usec = tv_usec
    );
    layout!(
        claims,
        "struct timespec",
        libc::timespec,
        tv_sec = tv_sec,
        tv_nsec = tv_nsec
    );
    layout!(
        claims,
        "struct rlimit",
        libc::rlimit,
        rlim_cur = rlim_cur,
        rlim_max = rlim_max
    );
    layout!(
        claims,
        "struct linger",
        libc::linger,
        l_onoff = l_onoff,
        l_linger = l_linger
    );
    layout!(
        claims,
        "struct sockaddr_vm",
        libc::sockaddr_vm,
        svm_family = svm_family,
        svm_port = svm_port,
        svm_cid = svm_cid
    );
    layout!(
        claims,
        "struct ucred",
        conduit_net::option::Credentials,
        pid = process,
        uid = user,
        gid = group
    );
    layout!(
        claims,
        "struct sockaddr_storage",
        libc::sockaddr_storage,
        ss_family = ss_family
    );
    claims.push(("sizeof(sigset_t)".into(), size_of::<libc::sigset_t>() as i64));
    claims.push(("sizeof(socklen_t)".into(), size_of::<libc::socklen_t>() as i64));
    claims.push(("sizeof(sa_family_t)".into(), size_of::<libc::sa_family_t>() as i64));
    claims.push(("sizeof(suseconds_t)".into(), size_of::<libc::suseconds_t>() as i64));
    // The crate asserts the layouts of its structures against this file.
    for line in include_str!("../src/option/layouts.txt")
        .lines()
        .filter(|line| !line.is_empty())
    {
        let (name, value) = line.split_once(" = ").unwrap();
        claims.push((name.into(), value.parse().unwrap()));
    }
    claims
}

/// The payloads of control messages, which are encoded byte by byte.
fn payloads() -> Claims {
    [
        ("sizeof(struct in_pktinfo)", 12),
        ("offsetof(struct in_pktinfo, ipi_ifindex)", 0),
        ("offsetof(struct in_pktinfo, ipi_spec_dst)", 4),
        ("offsetof(struct in_pktinfo, ipi_addr)", 8),
        ("sizeof(struct in6_pktinfo)", 20),
        ("offsetof(struct in6_pktinfo, ipi6_addr)", 0),
        ("offsetof(struct in6_pktinfo, ipi6_ifindex)", 16),
        ("sizeof(struct sock_extended_err)", 16),
        ("offsetof(struct sock_extended_err, ee_errno)", 0),
        ("offsetof(struct sock_extended_err, ee_origin)", 4),
        ("offsetof(struct sock_extended_err, ee_type)", 5),
        ("offsetof(struct sock_extended_err, ee_code)", 6),
        ("offsetof(struct sock_extended_err, ee_info)", 8),
        ("offsetof(struct sock_extended_err, ee_data)", 12),
        ("CMSG_LEN(0)", (size_of::<libc::cmsghdr>() as i64 + 7) & !7),
        ("CMSG_SPACE(5) - CMSG_SPACE(0)", 8),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .into()
}

#[test]
fn constants_and_structures_equal_those_of_c() {
    let claims: Claims = [constants(), others(), structures(), payloads()].concat();
    let mut program = format!("{HEADERS}\nint main(void) {{\n");
    for (expression, _) in &claims {
        writeln!(program, "printf(\"%lld\\n\", (long long)({expression}));").unwrap();
    }
    program.push_str("return 0; }\n");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (source, binary) = (directory.join("c_layout.c"), directory.join("c_layout"));
    std::fs::write(&source, program).unwrap();
    let Ok(built) = Command::new("cc").arg("-o").arg(&binary).arg(&source).output() else {
        assert!(std::env::var_os("CI").is_none(), "a C compiler is installed in CI");
        eprintln!("skipped: no C compiler is installed");
        return;
    };
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let said = String::from_utf8(Command::new(&binary).output().unwrap().stdout).unwrap();
    let said: Vec<i64> = said.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(said.len(), claims.len());
    let wrong: Vec<_> = claims
        .iter()
        .zip(&said)
        .filter(|((_, ours), theirs)| ours != *theirs)
        .collect();
    assert!(wrong.is_empty(), "ours and C's differ: {wrong:?}");
}

/// Reads the sources, and fails if a constant of libc is used but not compared above.
#[test]
fn every_used_constant_is_compared() {
    let compared: BTreeSet<_> = constants().into_iter().map(|(name, _)| name).collect();
    let mut used = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                folders.push(path);
            } else if !name.contains("apple") && !name.contains("bsd") && !name.contains("posix") {
                let text = std::fs::read_to_string(&path).unwrap();
                for part in text.split("libc::").skip(1) {
                    let word: String = part
                        .chars()
                        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                        .collect();
                    if word.chars().next().is_some_and(char::is_uppercase) {
                        used.insert(word);
                    }
                }
            }
        }
    }
    let missing: Vec<_> = used.difference(&compared).collect();
    assert!(missing.is_empty(), "used but not compared with C: {missing:?}");
}
