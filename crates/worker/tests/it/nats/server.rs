//! A server of a test, in a folder of its own, on a port of loopback.

use std::{
    env, fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Names the program.
const PROGRAM: &str = "BIPVL_TEST_NATS";
/// Machines may be slow and busy.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A server with `JetStream`; it is ended when dropped.
pub(crate) struct Server {
    program: PathBuf,
    folder: TempDir,
    address: String,
    port: u16,
    child: Child,
}

impl Server {
    /// On loopback; `None`, and a message, if no program is named.
    pub(crate) fn start() -> Option<Self> {
        Self::start_at("127.0.0.1")
    }

    /// At an address; `None`, and a message, if no program is named.
    #[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
    pub(crate) fn start_at(address: &str) -> Option<Self> {
        let Some(program) = env::var_os(PROGRAM) else {
            println!("skipped: {PROGRAM} does not name a nats-server");
            return None;
        };
        let (program, folder) = (PathBuf::from(program), tempfile::tempdir().unwrap());
        let (child, port) = launch(&program, &folder, address, None);
        Some(Self { program, folder, address: address.to_owned(), port, child })
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}:{}", self.address, self.port)
    }

    /// Ends the process without any warning.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends the process as a service manager does; it writes down what it knows.
    pub(crate) fn stop(&mut self) {
        assert!(
            Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success()
        );
        self.child.wait().unwrap();
    }

    /// Where it keeps messages.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Starts it again, at the same port and with what it had stored.
    pub(crate) fn restart(&mut self) {
        (self.child, _) = launch(&self.program, &self.folder, &self.address, Some(self.port));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(program: &PathBuf, folder: &TempDir, address: &str, port: Option<u16>) -> (Child, u16) {
    let port = port.map_or("-1".to_owned(), |port| port.to_string());
    let child = Command::new(program)
        .args(["--addr", address, "--port", &port, "--jetstream", "--store_dir"])
        .arg(folder.path().join("store"))
        .arg("--ports_file_dir")
        .arg(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let ports = folder.path().join(format!("nats-server_{}.ports", child.id()));
    let url = wait_for("the server", || {
        let text = fs::read_to_string(&ports).ok()?;
        let ports: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(ports["nats"][0].as_str()?.to_owned())
    });
    (child, url.rsplit(':').next().unwrap().parse().unwrap())
}

/// Waits until something is there.
pub(crate) fn wait_for<T>(what: &str, find: impl Fn() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited too long for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
