//! Conversions between errors of sockets and errors of `std`.

use std::io::{Error as IoError, ErrorKind};

use super::{Error, Operation};

impl Error {
    /// The kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.cause().kind()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.cause())
    }
}

impl From<Error> for IoError {
    fn from(error: Error) -> IoError {
        IoError::new(error.kind(), error)
    }
}

impl From<IoError> for Error {
    fn from(error: IoError) -> Error {
        match error.downcast::<Error>() {
            Ok(error) => error,
            Err(error) => Error::new(Operation::Other, None, error),
        }
    }
}
