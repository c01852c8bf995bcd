"""Counts the instructions and the system calls of a benchmark server for a unit of load: a request or a connection.

The server runs under callgrind (Debian package valgrind) and under strace, each with few and with many units. A count is the
difference between the two runs divided by that of the numbers of units, so that the start and the end of the program do not matter.
Instructions do not depend on the load of the machine; system calls may, as input arrives in larger parts while the server is slow.
"""

import collections
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

CALLS = re.compile(r"^(?:\[pid +\d+\] |\d+ +)?(\w+)\(", re.MULTILINE)


def callgrind(out):
    return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]


def strace(out):
    return ["strace", "-f", "-qq", "--signal=none", "-o", out]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def make_certificate(directory):
    """Makes the certificate that a server over TLS reads."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem"]
    command = ["openssl", "req", "-x509", *key, "-out", "certificate.pem", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run(command, cwd=directory, capture_output=True, check=True)


def wait_for(port, server):
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            if server.poll() is not None:
                sys.exit(f"{server.args}: ended with {server.returncode} before it listened")
            time.sleep(0.05)


def run(tracer, program, options, load, units, name):
    """Returns the output of the tracer for the program from its start to its end. `load` is called with the port, the number of
    units and the program's directory."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        out = os.path.join(directory, "out")
        if "tls" in options:
            make_certificate(directory)
        command = [*tracer(out), os.path.abspath(program), f"127.0.0.1:{port}", *options]
        with open(os.path.join(directory, "log"), "wb") as log:
            server = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
        try:
            wait_for(port, server)
            load(port, units, directory)
        finally:
            # strace does not forward the signal.
            subprocess.run(["pkill", "-TERM", "-P", str(server.pid)], check=False)
            server.send_signal(signal.SIGTERM)
            server.wait()
        with open(out) as profile:
            text = profile.read()
    if prefix := os.environ.get("KEEP"):
        with open(f"{prefix}.{name}.{tracer.__name__}.{units}", "w") as kept:
            kept.write(text)
    return text


def count_instructions(program, options, load, few, many, name):
    """Returns the instructions of one unit."""
    totals = [
        int(re.search(r"^(?:summary|totals): (\d+)", run(callgrind, program, options, load, units, name), re.MULTILINE)[1])
        for units in (few, many)
    ]
    return f"{(totals[1] - totals[0]) / (many - few):,.0f} instructions"


def count_calls(program, options, load, few, many, name):
    """Returns the system calls of one unit, with the number of each."""
    first, second = (collections.Counter(CALLS.findall(run(strace, program, options, load, units, name))) for units in (few, many))
    differences = {call: (second[call] - first[call]) / (many - few) for call in second}
    calls = sorted(differences.items(), key=lambda call: -call[1])
    listed = ", ".join(f"{call} {count:.3f}" for call, count in calls if count > 0.005)
    return f"{sum(differences.values()):.3f} calls ({listed})"
