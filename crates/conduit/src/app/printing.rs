//! Texts that a program prints when its arguments request them.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use crate::error::{Error, Result};

/// Prints to standard output. `operation` names the call in its error.
pub(super) fn print(text: impl Display, operation: &'static str) -> Result {
    print_to(io::stdout(), text, operation)
}

fn print_to(mut output: impl Write, text: impl Display, operation: &'static str) -> Result {
    match write!(output, "{text}").and_then(|()| output.flush()) {
        // A reader such as `head` may close the pipe early.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|cause| Error::system(operation, cause)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn closed_pipe_ends_the_printout_and_a_full_disk_is_an_error() {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        assert!(print_to(writer, "text\n", "print the routes").is_ok());
        let full = File::options().write(true).open("/dev/full").expect("Linux has it");
        let error = print_to(full, "text\n", "print the routes").expect_err("the disk is full");
        assert!(error.to_string().contains("print the routes"), "{error}");
    }
}
