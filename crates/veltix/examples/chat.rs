//! A room in which everybody reads what the others write.
//!
//! `cargo run --package superstream-veltix --example chat -- serve 8080`, and then in as many other
//! terminals as there are people: `… --example chat -- join 127.0.0.1:8080 NAME`.
#![allow(missing_docs)]

use std::io::BufRead;
use std::sync::{Arc, Weak};

use superstream_veltix::{Client, ClientConfig, Error, MessageType, Request, Server, ServerConfig};

const NAME: MessageType = MessageType::of(200);
const CHAT: MessageType = MessageType::of(201);

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["serve", port] => match port.parse() {
            Ok(port) => serve(port),
            Err(error) => {
                eprintln!("chat: {port:?} is no port: {error}");
                std::process::exit(2)
            }
        },
        ["join", address, name] => join(address, name),
        _ => {
            eprintln!("chat serve PORT | chat join HOST:PORT NAME");
            std::process::exit(2)
        }
    }
}

fn serve(port: u16) -> Result<(), Error> {
    let server = Arc::new(Server::new(ServerConfig::new("0.0.0.0", port))?);
    server.route(NAME, |client, response| {
        client.tags().add_value("name", response.content);
    });
    let room: Weak<Server> = Arc::downgrade(&server);
    server.route(CHAT, move |client, response| {
        let Some(room) = room.upgrade() else { return };
        let name = client.tags().get::<Vec<u8>>("name");
        let name = name.map_or_else(|| b"somebody".to_vec(), |name| name.to_vec());
        let line = [name.as_slice(), b": ", response.content.as_slice()].concat();
        let others = room.broadcast(&Request::new(CHAT, line), std::slice::from_ref(client));
        for (other, error) in others.failed {
            eprintln!("{other:?}: {error}");
        }
    });
    server.start()?;
    println!("{:?}; an empty line ends it", server.local_addr());
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        if line.is_empty() {
            break;
        }
    }
    server.close_all();
    Ok(())
}

fn join(address: &str, name: &str) -> Result<(), Error> {
    let mut config = ClientConfig::from_url(address)?;
    config.retry = 10;
    let client = Client::new(config)?;
    client.route(CHAT, |response| {
        println!("{}", String::from_utf8_lossy(&response.content));
    });
    let (sender, own) = (client.sender(), name.to_owned());
    // After each reconnection too.
    client.on_connect(move || {
        if let Err(error) = sender.send(&Request::new(NAME, own.clone())) {
            eprintln!("{error}");
        }
    });
    client.on_disconnect(|state| eprintln!("not connected: {} {state:?}", state.cause));
    client.connect()?;
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        if let Err(error) = client.send(&Request::new(CHAT, line)) {
            eprintln!("{error}");
        }
    }
    client.disconnect();
    Ok(())
}
