//! Servers come and go.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use superstream_nats::{Address, Connection, Error};

use crate::common::{NatsServer, connect, open, options, options_for, shortly, soon, wait_until};

fn cluster() -> [NatsServer; 3] {
    let a = NatsServer::in_cluster("server_name: a", &[]);
    let b = NatsServer::in_cluster("server_name: b", &[&a]);
    let c = NatsServer::in_cluster("server_name: c", &[&a, &b]);
    for server in [&a, &b, &c] {
        wait_until("a cluster of three", || {
            server.monitor("/varz")["connect_urls"]
                .as_array()
                .map(Vec::len)
                == Some(3)
        });
    }
    [a, b, c]
}

fn ports(addresses: &[Address]) -> Vec<u16> {
    let mut ports: Vec<u16> = addresses.iter().map(|address| address.port).collect();
    ports.sort_unstable();
    ports
}

#[test]
fn a_killed_server_is_replaced_by_another_of_its_cluster() {
    let [mut a, b, c] = cluster();
    let mut connection = connect(&a);
    let mut expected = vec![b.port(), c.port()];
    expected.sort_unstable();
    assert_eq!(ports(connection.others()), expected);

    let others = connection.others().to_vec();
    a.kill();
    let error = connection.next(soon()).unwrap_err();
    assert!(
        matches!(error, Error::Io(_) | Error::Closed(_)),
        "{error:?}"
    );
    assert!(connection.closed().is_some());
    assert!(matches!(connection.next(soon()), Err(Error::Closed(_))));

    let mut connection = Connection::open(&options_for(&a), &others, soon()).unwrap();
    assert!(["b", "c"].contains(&connection.info().server_name.as_str()));
    // One that listens at the other of the two hears us.
    let mut listener = Connection::open(&options_for(&c), &[], soon()).unwrap();
    listener.subscribe("a", None, soon()).unwrap();
    listener.flush(soon()).unwrap();
    let mut heard = None;
    wait_until("a message through the cluster", || {
        connection.publish("a", None, b"x", soon()).unwrap();
        heard = listener.next(shortly()).unwrap();
        heard.is_some()
    });
    assert_eq!(heard.unwrap().payload, b"x");

    // It is tried first again once it is back.
    a.start_again();
    let connection = Connection::open(&options_for(&a), &others, soon()).unwrap();
    assert_eq!(connection.info().server_name, "a");
}

#[test]
fn a_server_that_joins_is_learnt() {
    let a = NatsServer::in_cluster("", &[]);
    let mut connection = connect(&a);
    assert_eq!(connection.others(), []);
    let b = NatsServer::in_cluster("", &[&a]);
    wait_until("the other server", || {
        connection.next(shortly()).unwrap();
        !connection.others().is_empty()
    });
    assert_eq!(ports(connection.others()), [b.port()]);
    assert!(!connection.others()[0].tls);
}

#[test]
fn a_server_that_hangs_takes_half_of_the_time() {
    let (hanging, good) = (NatsServer::start(), NatsServer::with("server_name: good"));
    hanging.signal("STOP");
    let others = [Address::parse(&good.url()).unwrap()];
    let deadline = Instant::now() + Duration::from_secs(20);
    let connection = Connection::open(&options_for(&hanging), &others, deadline).unwrap();
    assert_eq!(connection.info().server_name, "good");
}

#[test]
fn a_server_that_says_nothing_is_waited_for_until_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("127.0.0.1:{}", silent.local_addr().unwrap().port());
    let error = Connection::open(&options(&address), &[], shortly()).map(drop);
    assert!(matches!(error, Err(Error::TimedOut)), "{error:?}");
}

#[test]
fn a_name_with_several_addresses_is_tried_at_each() {
    // The name has an address of IPv6, too, on most systems; the server listens at IPv4's alone.
    let server = NatsServer::start();
    open(&options(&format!("localhost:{}", server.port()))).unwrap();
}

#[test]
fn where_nobody_listens_the_reason_is_told() {
    let mut server = NatsServer::start();
    server.kill();
    let error = open(&options_for(&server)).map(drop).unwrap_err();
    assert!(matches!(error, Error::Io(_)), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
    let error = open(&options("name.invalid")).map(drop).unwrap_err();
    assert!(matches!(error, Error::Io(_)), "{error:?}");
}

#[test]
fn a_connection_ends_with_its_server_and_a_new_one_is_as_good() {
    let mut server = NatsServer::start();
    let mut connection = connect(&server);
    server.start_again();
    assert!(connection.flush(soon()).is_err());
    assert!(connection.closed().is_some());
    let mut connection = connect(&server);
    connection.flush(soon()).unwrap();
}
