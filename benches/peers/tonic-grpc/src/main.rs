//! tonic's server on one current-thread runtime: unary gRPC in cleartext.

mod greeter;

use std::net::SocketAddr;

use tonic::transport::Server;

use crate::greeter::GreeterServer;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tonic::transport::Error> {
    let address = std::env::args().nth(1).expect("usage: bench-tonic-grpc ADDRESS");
    let address: SocketAddr = address.parse().expect("an IP address and a port");
    Server::builder().add_service(GreeterServer).serve(address).await
}
