use std::time::Duration;
use superstream_veltix::*;
const CHAT: MessageType = MessageType::of(200);
#[test]
fn echo() {
    let server = Server::new(ServerConfig::new("127.0.0.1", 0)).unwrap();
    server.route(CHAT, |client, response| {
        let reply = Request::reply_to(&response, CHAT, response.content.clone());
        client.send(&reply).unwrap();
    });
    server.start().unwrap();
    let port = server.local_addr().unwrap().port();
    let client = Client::new(ClientConfig::new("127.0.0.1", port)).unwrap();
    client.connect().unwrap();
    let reply = client.send_and_wait(&Request::new(CHAT, "hello"), Duration::from_secs(5)).unwrap();
    assert_eq!(reply.content, b"hello");
    println!("{:?}", client.ping_server(Duration::from_secs(5)).unwrap());
    println!("{:?}", server.clients()[0].ping(Duration::from_secs(5)).unwrap());
    let start = std::time::Instant::now();
    for _ in 0..2000 { client.ping_server(Duration::from_secs(5)).unwrap(); }
    println!("{:?}", start.elapsed()/2000);
    assert!(client.disconnect());
    assert!(server.close_all());
}
