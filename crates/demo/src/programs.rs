//! The programs of the demo, each in a process of its own. All of them end with the demo: the
//! cluster with its standard input, the service with its parent.

use std::error::Error;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::arguments::Arguments;
use crate::measured::Told;
use crate::show::Progress;

const TOPIC: &str = "orders";
const PARTITIONS: u32 = 6;
/// The service is told within a moment, or never.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the programs and the two libraries stand.
pub struct Workshop {
    producer: PathBuf,
    mock_cluster: PathBuf,
    service: PathBuf,
    /// Folders that hold one `librdkafka.so.1` each.
    stock: PathBuf,
    ours: PathBuf,
}

impl Workshop {
    /// Compiles the C programs against the header and the library of the dist tree.
    pub fn open(arguments: &Arguments) -> Result<Self, Box<dyn Error>> {
        let dist = found(&arguments.dist, "run `make dist` first")?;
        let folder = dist.parent().unwrap_or(&dist).join("target/demo");
        let stock = folder.join("stock");
        fs::create_dir_all(&stock)?;
        let library = found(&arguments.stock, "run `make build` first")?;
        let link = stock.join("librdkafka.so.1");
        // Left by an earlier run, or not there.
        let _ = fs::remove_file(&link);
        symlink(library, link)?;

        let compile = |name: &str| -> Result<PathBuf, Box<dyn Error>> {
            let program = folder.join(name);
            let status = Command::new("cc")
                .args(["-std=gnu11", "-O2"])
                .arg("-isystem")
                .arg(dist.join("include"))
                .arg("-o")
                .arg(&program)
                .arg(arguments.examples.join(name).with_extension("c"))
                .arg("-L")
                .arg(dist.join("lib"))
                .arg("-lrdkafka")
                .env_remove("LIBRARY_PATH")
                .status()
                .map_err(|error| format!("cannot run cc (see `make setup`): {error}"))?;
            if status.success() {
                Ok(program)
            } else {
                Err(format!("cc: {status}").into())
            }
        };
        Ok(Self {
            producer: compile("producer")?,
            mock_cluster: compile("mock_cluster")?,
            service: found(
                &dist.join("bin/superstream-service"),
                "run `make dist` first",
            )?,
            ours: dist.join("lib"),
            stock,
        })
    }

    /// Runs the producer with stock librdkafka; its own statistics.
    pub fn produce_stock(
        &self,
        arguments: &Arguments,
        cluster: &Cluster,
        progress: &Progress,
    ) -> Result<Value, Box<dyn Error>> {
        let mut producer = Producer::start(self.producer(&self.stock), arguments, cluster)?;
        let statistics = producer.statistics("1/3 stock librdkafka", progress)?;
        producer.end()?;
        Ok(statistics)
    }

    /// Runs the producer through our librdkafka; its own statistics, and what the service was told.
    pub fn produce(
        &self,
        name: &str,
        mode: &str,
        arguments: &Arguments,
        cluster: &Cluster,
        service: &Service,
        progress: &Progress,
    ) -> Result<Told, Box<dyn Error>> {
        let mut command = self.producer(&self.ours);
        command
            .env("SUPERSTREAM_HOST", &service.host)
            .env("SUPERSTREAM_MODE", mode);
        let mut producer = Producer::start(command, arguments, cluster)?;
        let statistics = producer.statistics(name, progress)?;
        let client = service.newest_client_once_gone()?;
        producer.end()?;
        Told::new(&statistics, client)
    }

    fn producer(&self, library: &Path) -> Command {
        let mut command = plain(&self.producer);
        command.env("LD_LIBRARY_PATH", library);
        command
    }
}

/// The producer. Its process goes on after its client is destroyed, as applications do: nobody
/// keeps an exit waiting to have a last report sent.
struct Producer {
    child: Child,
    stdin: Option<ChildStdin>,
    output: Option<JoinHandle<io::Result<String>>>,
    expected: Duration,
}

impl Producer {
    fn start(
        mut command: Command,
        arguments: &Arguments,
        cluster: &Cluster,
    ) -> Result<Self, Box<dyn Error>> {
        let (records, rate) = (arguments.records, arguments.rate);
        let mut child = command
            .args(["-b", &cluster.brokers, "-t", TOPIC, "-s", "-w"])
            .args(["-n", &records.to_string(), "-r", &rate.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut stdout = child.stdout.take().ok_or("no pipe")?;
        let output = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).map(|_| text)
        });
        Ok(Self {
            stdin: child.stdin.take(),
            child,
            output: Some(output),
            expected: Duration::from_secs_f64(f64::from(records) / f64::from(rate)),
        })
    }

    /// Its own statistics, once it has produced everything.
    fn statistics(&mut self, name: &str, progress: &Progress) -> Result<Value, Box<dyn Error>> {
        let begin = Instant::now();
        let output = self.output.take().ok_or("it was asked before")?;
        while !output.is_finished() {
            let part = begin.elapsed().as_secs_f64() / self.expected.as_secs_f64();
            progress.part(name, part);
            std::thread::sleep(Duration::from_millis(100));
        }
        let text = output.join().map_err(|_| "its output was not read")??;
        progress.done(name);
        let account = text.lines().last().unwrap_or_default();
        Ok(serde_json::from_str(account)
            .map_err(|error| format!("the producer's account {account:?}: {error}"))?)
    }

    fn end(mut self) -> Result<(), Box<dyn Error>> {
        self.stdin.take();
        match self.child.wait()? {
            status if status.success() => Ok(()),
            status => Err(format!("the producer ended with {status}").into()),
        }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        // It may have ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The mock cluster, in a process of its own so that it costs the producer nothing.
pub struct Cluster {
    pub brokers: String,
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Cluster {
    pub fn start(workshop: &Workshop) -> Result<Self, Box<dyn Error>> {
        let mut child = plain(&workshop.mock_cluster)
            .args(["-n", "3", "-t", &format!("{TOPIC}:{PARTITIONS}")])
            .env("LD_LIBRARY_PATH", &workshop.stock)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdin = child.stdin.take();
        let brokers = first_line(&mut child, "the mock cluster")?;
        Ok(Self {
            brokers,
            child,
            stdin,
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stdin.take();
        // It ends because its input did; how is of no interest any more.
        let _ = self.child.wait();
    }
}

/// The reference service, with its built-in rules.
pub struct Service {
    pub host: String,
    child: Child,
}

impl Service {
    pub fn start(workshop: &Workshop) -> Result<Self, Box<dyn Error>> {
        let mut child = plain(&workshop.service)
            .args(["--listen", "127.0.0.1:0", "--exit-with-parent"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let line = first_line(&mut child, "the service")?;
        let host = line
            .strip_prefix("listening on ")
            .ok_or_else(|| format!("the service said {line:?}"))?
            .to_owned();
        Ok(Self { host, child })
    }

    /// All that the service knows of its newest client, once that has said goodbye: after its last
    /// report.
    fn newest_client_once_gone(&self) -> Result<Value, Box<dyn Error>> {
        let begin = Instant::now();
        loop {
            let list = self.get("/v1/clients?limit=1")?;
            let client = &list["clients"][0];
            let hash = client["client_hash"]
                .as_str()
                .ok_or("the service knows of no client")?;
            if !client["gone_at_ms"].is_null() {
                return self.get(&format!("/v1/clients/{hash}"));
            }
            if begin.elapsed() > PATIENCE {
                return Err("the producer's client has not told the service of its end".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn get(&self, path: &str) -> Result<Value, Box<dyn Error>> {
        let answer = ureq::get(format!("{}{path}", self.host)).call()?;
        Ok(serde_json::from_reader(answer.into_body().into_reader())?)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command without Superstream's variables, whatever the user's environment holds.
fn plain(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SUPERSTREAM_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

fn first_line(child: &mut Child, who: &str) -> Result<String, Box<dyn Error>> {
    let stdout = child.stdout.take().ok_or("no pipe")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    if line.is_empty() {
        return Err(format!("{who} did not start").into());
    }
    Ok(line.trim_end().to_owned())
}

fn found(path: &Path, otherwise: &str) -> Result<PathBuf, Box<dyn Error>> {
    path.canonicalize()
        .map_err(|error| format!("{}: {error}; {otherwise}", path.display()).into())
}
