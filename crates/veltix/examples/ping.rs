//! Round trips in both directions, while a connection without a thread does the same.
//!
//! `cargo run --release --package superstream-veltix --example ping`
#![allow(missing_docs)]

use std::time::{Duration, Instant};

use superstream_veltix::{
    Address, Client, ClientConfig, Connection, ConnectionOptions, Error, Server, ServerConfig,
};

fn main() -> Result<(), Error> {
    let timeout = Duration::from_secs(30);
    let server = Server::new(ServerConfig::new("127.0.0.1", 0))?;
    // In Python this would time out: there, callbacks hold up what arrives.
    server.on_connect(move |client| match client.ping(timeout) {
        Ok(time) => println!("server to {client:?}: {time:?}"),
        Err(error) => println!("server to {client:?}: {error}"),
    });
    server.start()?;
    let port = server.local_addr().map_or(0, |addr| addr.port());

    let client = Client::new(ClientConfig::new("127.0.0.1", port))?;
    client.connect()?;
    for _ in 0..5 {
        println!("client to server: {:?}", client.ping_server(timeout)?);
    }

    let address = Address::new("127.0.0.1", port);
    let deadline = Instant::now() + timeout;
    let mut connection = Connection::open(&address, &ConnectionOptions::default(), deadline)?;
    println!("without a thread: {:?}", connection.ping(deadline)?);
    connection.close(deadline)
}
