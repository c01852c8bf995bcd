//! A program that is replaced at SIGUSR2, and stopped by SIGTERM, while WebSockets are open.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use conduit::prelude::*;
use rustix::process::Signal;

use crate::echo;
use crate::support::program::{Directory, Program, begin_program, connect, program};

#[get("/process")]
async fn process() -> String {
    std::process::id().to_string()
}

/// The program that the test starts: this file run again.
pub(crate) fn run_program() {
    begin_program();
    let ended = App::new(()).routes(routes![process, echo]).run();
    std::process::exit(i32::from(ended.is_err()));
}

/// Opens a WebSocket and exchanges a message.
fn open(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address);
    let request = b"GET /echo HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x85\0\0\0\0hello";
    stream.write_all(request).expect("the server reads");
    let mut received = Vec::new();
    while !received.ends_with(b"\x81\x05hello") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the message returns");
        received.push(byte[0]);
    }
    stream
}

/// Reads Close, responds, and reads the end. Returns the code.
fn close(mut stream: TcpStream) -> u16 {
    let mut head = [0; 4];
    stream.read_exact(&mut head).expect("Close");
    assert_eq!(head[0], 0x88);
    let mut reason = vec![0; usize::from(head[1]) - 2];
    stream.read_exact(&mut reason).expect("the reason");
    let code = [head[2], head[3]];
    let response = [b"\x88\x82\0\0\0\0", &code[..]].concat();
    stream.write_all(&response).expect("the server reads");
    assert_eq!(stream.read(&mut head).expect("the end"), 0);
    u16::from_be_bytes(code)
}

#[test]
fn a_restart_closes_with_1012_and_a_stop_with_1001() {
    let directory = Directory::new("websocket");
    let mut program = Program::start(&mut program(&directory), 1);
    let old: Vec<_> = (0..20).map(|_| open(program.tcp())).collect();
    let successor = program.replace(program.child.id());
    for socket in old {
        assert_eq!(close(socket), 1012);
    }
    program.assert_ends_well();
    let new = open(program.tcp());
    program.signal(successor, Signal::TERM);
    assert_eq!(close(new), 1001);
}
