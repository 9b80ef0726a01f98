//! The installed tree itself.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use superstream_tests::service::{Service, TOKEN};
use superstream_tests::tree::{library, tree};
use superstream_tests::{built, compile, root, run, scratch, tool, unique};

#[test]
fn the_tree_is_complete() {
    for file in [
        "lib/librdkafka.so.1",
        "lib/librdkafka.so",
        "lib/pkgconfig/rdkafka.pc",
        "lib/cmake/RdKafka/RdKafkaConfig.cmake",
        "include/librdkafka/rdkafka.h",
        "include/librdkafka/rdkafka_mock.h",
        "lib/libsuperstream.so.0",
        "lib/libsuperstream.so",
        "lib/libsuperstream-hooks.so",
        "lib/libsuperstream-plugin.so",
        "bin/superstream",
        "bin/superstream-service",
    ] {
        assert!(tree().join(file).exists(), "{file} is missing");
    }
    for (link, target) in [
        ("librdkafka.so", "librdkafka.so.1"),
        ("libsuperstream.so", "libsuperstream.so.0"),
    ] {
        let link = fs::read_link(library().join(link)).unwrap();
        assert_eq!(link, Path::new(target));
    }
}

/// What the tree has works together, and needs nothing of the build: `superstream run` finds its
/// libraries, and a program that knows nothing of it is tuned.
#[test]
fn the_tree_brings_superstream_to_a_program() {
    let service = Service::with_rules(
        "[[rule]]\nkind = \"producer\"\n[rule.configuration]\n\"linger.ms\" = 50\n",
    );
    let mut command = tool(tree().join("bin/superstream"));
    command
        .args(["run", "--host", &service.url, "--", "kcat"])
        .args(["-L", "-b", "127.0.0.1:1", "-m", "1"])
        .env("SUPERSTREAM_TOKEN", TOKEN)
        .env("SUPERSTREAM_RESPONSE_TIMEOUT", "60000");
    // There is no broker: kcat fails, after its client was created.
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    let clients = service.clients();
    assert_eq!(clients.len(), 1, "{clients:#?}");
    assert_eq!(clients[0]["engine_version"], "2.0.2", "{clients:#?}");
}

#[test]
fn the_loader_cache_takes_the_library_under_its_soname() {
    let cache = unique(scratch(), "ld.so.cache");
    let configuration = unique(scratch(), "ld.so.conf");
    fs::write(&configuration, format!("{}\n", library().display())).unwrap();
    run(tool("/sbin/ldconfig")
        .arg("-N")
        .arg("-X")
        .arg("-f")
        .arg(&configuration));
    run(tool("/sbin/ldconfig")
        .arg("-X")
        .arg("-C")
        .arg(&cache)
        .arg("-f")
        .arg(&configuration));
    let listed = run(tool("/sbin/ldconfig").arg("-p").arg("-C").arg(&cache));
    let ours = library().join("librdkafka.so.1");
    assert!(
        listed.contains(&format!("=> {}", ours.display())),
        "{listed}"
    );
    fs::remove_file(cache).unwrap();
    fs::remove_file(configuration).unwrap();
}

/// A folder of the build machine is nobody's elsewhere: what is looked for there is whatever
/// somebody puts there.
#[test]
fn no_folder_of_the_build_machine_is_left() {
    let strings = run(tool("strings")
        .arg("-a")
        .arg(library().join("librdkafka.so.1")));
    let target = built().parent().unwrap().to_owned();
    for text in strings
        .lines()
        .filter(|text| text.contains(target.to_str().unwrap()))
    {
        assert!(text.contains(".rs") || text.ends_with(".c"), "{text}");
    }
    for place in ["/etc/krb5.conf", "/etc/gss/mech"] {
        assert!(
            strings.lines().any(|text| text == place),
            "{place} is missing"
        );
    }
}

/// The same at work: what the library really opens when it authenticates by Kerberos.
#[test]
fn kerberos_looks_where_the_system_has_its_files() {
    let broker = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = broker.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for connection in broker.incoming() {
            // The client hangs up as it likes: that is no failure of the test.
            let _ = offer_gssapi(connection.unwrap());
        }
    });

    let trace = unique(scratch(), "paths");
    // How long the record waits for its broker, and so how far the client comes.
    for patience in ["2000", "60000"] {
        authenticate(&address, patience, &trace);
        let calls = fs::read_to_string(&trace).unwrap();
        if PLACES.iter().all(|place| calls.contains(place)) {
            break;
        }
    }
    let calls = fs::read_to_string(&trace).unwrap();
    for place in PLACES {
        assert!(
            calls.contains(place),
            "{place} was not looked for, see {}",
            trace.display()
        );
    }
    let strange: Vec<_> = calls
        .lines()
        .filter(|call| call.contains("/out/install"))
        .collect();
    assert_eq!(strange, [""; 0]);
    fs::remove_file(trace).unwrap();
}

/// Where the system has the files of Kerberos.
const PLACES: [&str; 3] = [
    "\"/etc/gss/mech\"",
    "\"/etc/krb5.conf\"",
    "\"/etc/krb5/user/",
];

/// A client of the broker at `address` tries to log in by Kerberos; what it opens.
fn authenticate(address: &str, patience: &str, trace: &Path) {
    let mut command = tool("strace");
    command
        .args(["-f", "-qq", "-e", "trace=file", "-o"])
        .arg(trace)
        .arg("-E")
        .arg(format!("LD_LIBRARY_PATH={}", library().display()))
        .arg(compile("examples/c/producer.c"))
        .args(["-b", address, "-t", "orders", "-n", "1"]);
    for setting in [
        "security.protocol=SASL_PLAINTEXT",
        "sasl.mechanism=GSSAPI",
        "sasl.kerberos.kinit.cmd=true",
        &format!("message.timeout.ms={patience}"),
    ] {
        command.args(["-X", setting]);
    }
    // Nobody has a ticket here: the record is not delivered.
    assert_eq!(command.output().unwrap().status.code(), Some(1));
}

/// A broker that gets as far as to offer GSSAPI: it answers ApiVersions (18) and SaslHandshake
/// (17), both in version 0.
fn offer_gssapi(mut client: TcpStream) -> std::io::Result<()> {
    const UNSUPPORTED_VERSION: i16 = 35;
    loop {
        let mut size = [0; 4];
        client.read_exact(&mut size)?;
        let mut request = vec![0; u32::from_be_bytes(size) as usize];
        client.read_exact(&mut request)?;
        let (key, version) = (request[1], request[3]);
        let error = if version == 0 { 0 } else { UNSUPPORTED_VERSION };

        // First what pairs the answer with the request.
        let mut answer = request[4..8].to_vec();
        answer.extend(error.to_be_bytes());
        if key == 18 {
            // Two APIs: their keys, and their lowest and highest versions.
            answer.extend(2_i32.to_be_bytes());
            for number in [17_i16, 0, 0, 18, 0, 0] {
                answer.extend(number.to_be_bytes());
            }
        } else {
            answer.extend(1_i32.to_be_bytes());
            answer.extend(6_i16.to_be_bytes());
            answer.extend(b"GSSAPI");
        }
        client.write_all(&(answer.len() as u32).to_be_bytes())?;
        client.write_all(&answer)?;
    }
}

#[test]
fn cmake_installs_the_same_tree() {
    let build = unique(scratch(), "cmake-build");
    let prefix = unique(scratch(), "cmake-prefix");
    run(tool("cmake").arg("-S").arg(root()).arg("-B").arg(&build));
    run(tool("cmake")
        .arg("--install")
        .arg(&build)
        .arg("--prefix")
        .arg(&prefix));
    let (installed, expected) = (files(&prefix), files(tree()));
    assert!(
        installed.keys().eq(expected.keys()),
        "{:?}",
        installed.keys()
    );
    for (name, contents) in installed {
        // Programs may have been built apart, with other features of what they depend on.
        let same = contents == expected[&name] || contents.starts_with(b"\x7fELF");
        assert!(same, "{name} differs");
    }
    fs::remove_dir_all(build).unwrap();
    fs::remove_dir_all(prefix).unwrap();
}

/// The names and contents of all files below `folder`.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path
                    .strip_prefix(folder)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}
