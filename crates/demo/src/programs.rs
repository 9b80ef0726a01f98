//! The programs of the demo, each in a process of its own. All of them end with the demo: the
//! cluster with its standard input, the service with its parent.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::arguments::Arguments;
use crate::show::Progress;

const TOPIC: &str = "orders";
const PARTITIONS: u32 = 6;

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

    /// Runs the producer, stock or with the service, and gives its own account.
    pub fn produce(
        &self,
        arguments: &Arguments,
        cluster: &Cluster,
        service: Option<&Service>,
        progress: &Progress,
    ) -> Result<Value, Box<dyn Error>> {
        let (name, library) = match service {
            None => ("1/2 stock librdkafka", &self.stock),
            Some(_) => ("2/2 through our librdkafka.so.1", &self.ours),
        };
        let mut command = plain(&self.producer);
        command
            .args(["-b", &cluster.brokers, "-t", TOPIC, "-s"])
            .args([
                "-n",
                &arguments.records.to_string(),
                "-r",
                &arguments.rate.to_string(),
            ])
            .env("LD_LIBRARY_PATH", library)
            .stdout(Stdio::piped());
        if let Some(service) = service {
            command.env("SUPERSTREAM_HOST", &service.host);
        }
        let mut child = command.spawn()?;
        let expected = f64::from(arguments.records) / f64::from(arguments.rate);
        let begin = Instant::now();
        while child.try_wait()?.is_none() {
            progress.part(name, begin.elapsed().as_secs_f64() / expected);
            std::thread::sleep(Duration::from_millis(100));
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            return Err(format!("the producer ended with {}", output.status).into());
        }
        progress.done(name);
        let text = String::from_utf8_lossy(&output.stdout);
        let account = text.lines().last().unwrap_or_default();
        Ok(serde_json::from_str(account)
            .map_err(|error| format!("the producer's account {account:?}: {error}"))?)
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

    /// All that the service knows of the one client of the demo.
    pub fn only_client(&self) -> Result<Value, Box<dyn Error>> {
        let get = |path: &str| -> Result<Value, Box<dyn Error>> {
            let answer = ureq::get(format!("{}{path}", self.host)).call()?;
            Ok(serde_json::from_reader(answer.into_body().into_reader())?)
        };
        let list = get("/v1/clients")?;
        let hash = list["clients"][0]["client_hash"]
            .as_str()
            .ok_or("the service knows of no client")?;
        get(&format!("/v1/clients/{hash}"))
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
