//! A server that says everything again, and a client that asks it.
//!
//! `cargo run --package superstream-veltix --example echo`
#![allow(missing_docs)]

use std::time::Duration;

use superstream_veltix::{Client, ClientConfig, Error, MessageType, Request, Server, ServerConfig};

const ECHO: MessageType = MessageType::of(200);

fn main() -> Result<(), Error> {
    let server = Server::new(ServerConfig::new("127.0.0.1", 0))?;
    server.on_connect(|client| println!("server: {client:?} is here"));
    server.on_disconnect(|client, reason| println!("server: {client:?} is gone: {reason}"));
    server.route(ECHO, |client, response| {
        let reply = Request::reply_to(&response, ECHO, response.content.clone());
        if let Err(error) = client.send(&reply) {
            println!("server: {client:?}: {error}");
        }
    });
    server.start()?;
    let port = server.local_addr().map_or(0, |addr| addr.port());

    let client = Client::new(ClientConfig::new("127.0.0.1", port))?;
    client.connect()?;
    for text in ["Hello Server!", "Once more"] {
        let reply = client.send_and_wait(&Request::new(ECHO, text), Duration::from_secs(30))?;
        println!("client: {}", String::from_utf8_lossy(&reply.content));
    }
    client.disconnect();
    server.close_all();
    Ok(())
}
