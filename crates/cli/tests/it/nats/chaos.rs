//! A thousand studies while workers and server are killed and links are cut: `.ci/cluster/nats.sh` makes the networks for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fs::{self, File, OpenOptions},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use bipvl_imaging::phantom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::{MODEL, run, server::Server};
use crate::scene::{Outcome, SHAPE, SPACING, Scene, repeat_channels};

/// The first part of the names of the networks; the hub is `NAME-hub`, that of a worker `NAME-1` and so on.
const NETWORKS: &str = "BIPVL_TEST_NETWORKS";
const SEED: &str = "BIPVL_TEST_SEED";
/// Where the hub can be reached.
const HUB: &str = "10.77.0.1";
const WORKERS: usize = 4;
const STUDIES: usize = 1000;
const BROKEN: usize = 20;
/// Volumes that the studies are copies of.
const VOLUMES: usize = 8;
/// Studies that the queue holds: fewer than there are, so that submitting has to wait.
const LIMIT: &str = "300";
/// Deliveries of a study. One in thirty is hit again, so that none of a hundred that are hit is hit this often.
const MAX_DELIVERIES: &str = "6";
/// Between two blows, in milliseconds.
const PAUSE: std::ops::Range<u64> = 150..900;
/// Before this blow the server is killed, once.
const SERVER_BLOW: std::ops::Range<usize> = 15..30;
/// How long a killed worker is away, and a link is cut.
const AWAY: std::ops::Range<u64> = 100..1500;
const CUT: std::ops::Range<u64> = 300..4000;
/// Much longer than it takes.
const PATIENCE: Duration = Duration::from_mins(4);

/// A worker in its network.
struct Place {
    number: usize,
    child: Option<Child>,
    back: Instant,
    healed: Option<Instant>,
}

/// All workers, and who strikes them.
struct Fleet<'a> {
    scene: &'a Scene,
    networks: String,
    url: String,
    random: ChaCha8Rng,
    places: Vec<Place>,
    server: Server,
    next_blow: Instant,
    server_blow: usize,
    kills: usize,
    cuts: usize,
}

impl<'a> Fleet<'a> {
    fn start(scene: &'a Scene, networks: String, server: Server, seed: u64) -> Self {
        let now = Instant::now();
        let place = |number| Place { number, child: None, back: now, healed: None };
        let places = (1..=WORKERS).map(place).collect();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let server_blow = random.random_range(SERVER_BLOW);
        fs::create_dir(scene.path("logs")).unwrap();
        Self {
            scene,
            networks,
            url: server.url(),
            random,
            places,
            server,
            next_blow: now,
            server_blow,
            kills: 0,
            cuts: 0,
        }
    }

    fn drawn(&mut self, range: std::ops::Range<u64>) -> Instant {
        Instant::now() + Duration::from_millis(self.random.random_range(range))
    }

    /// Starts workers, mends links and strikes, as it is time.
    fn go_on(&mut self) {
        let now = Instant::now();
        for index in 0..self.places.len() {
            if self.places[index].child.is_none() && self.places[index].back <= now {
                self.places[index].child = Some(self.start_worker(index + 1));
            }
            if self.places[index].healed.is_some_and(|healed| healed <= now) {
                self.heal(index);
            }
        }
        if self.next_blow <= now {
            if self.kills + self.cuts == self.server_blow {
                self.server_blow = 0;
                self.server.kill();
                self.server.restart();
            }
            self.strike();
            self.next_blow = self.drawn(PAUSE);
        }
    }

    fn strike(&mut self) {
        let index = self.random.random_range(0..self.places.len());
        if self.random.random_bool(0.5) {
            let back = self.drawn(AWAY);
            if let Some(mut child) = self.places[index].child.take() {
                child.kill().unwrap();
                child.wait().unwrap();
                self.places[index].back = back;
                self.kills += 1;
            }
        } else {
            let healed = self.drawn(CUT);
            if self.places[index].healed.is_none() {
                self.set_link(index, "down");
                self.places[index].healed = Some(healed);
                self.cuts += 1;
            }
        }
    }

    fn heal(&mut self, index: usize) {
        self.set_link(index, "up");
        self.places[index].healed = None;
    }

    fn set_link(&self, index: usize, state: &str) {
        let (hub, link) = (format!("{}-hub", self.networks), format!("link-{}", self.places[index].number));
        let status = Command::new("ip").args(["-n", &hub, "link", "set", &link, state]).status().unwrap();
        assert!(status.success());
    }

    fn start_worker(&self, number: usize) -> Child {
        let network = format!("{}-{number}", self.networks);
        let log = self.scene.path(&format!("logs/{number}"));
        let log: File = OpenOptions::new().create(true).append(true).open(log).unwrap();
        let (name, model) = (format!("worker-{number}"), format!("{MODEL}={}", run()));
        let program = self.scene.command();
        // It becomes the program, and keeps its process id.
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &network]).arg(program.get_program());
        command.args(["worker", "--nats", &self.url, "--model", &model, "--name", &name, "--threads", "1"]);
        command.args(["--ack-wait", "2", "--max-deliveries", MAX_DELIVERIES]);
        let command = command.current_dir(self.scene.path(""));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    /// Mends everything and lets the workers leave.
    fn leave(&mut self) {
        for index in 0..self.places.len() {
            if self.places[index].healed.is_some() {
                self.heal(index);
            }
            if let Some(mut child) = self.places[index].child.take() {
                let id = child.id().to_string();
                assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
                assert!(child.wait().unwrap().success(), "worker {}", index + 1);
            }
        }
    }
}

impl Drop for Fleet<'_> {
    fn drop(&mut self) {
        for child in self.places.iter_mut().filter_map(|place| place.child.as_mut()) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Writes the studies: links to a few volumes, and files that are damaged in three ways.
fn write_studies(scene: &Scene) {
    fs::create_dir(scene.path("scans")).unwrap();
    for number in 0..VOLUMES {
        let volume = phantom::draw(number as u64, SHAPE, SPACING).image;
        scene.write(&format!("volumes/v{number}.nii"), &volume);
    }
    for number in 0..STUDIES {
        let volume = scene.path(&format!("volumes/v{}.nii", number % VOLUMES));
        fs::hard_link(volume, scene.path(&format!("scans/s{number:04}.nii"))).unwrap();
    }
    for number in 0..BROKEN {
        let name = format!("scans/broken{number:02}.nii");
        scene.write_bytes(&name, &scene.bytes("volumes/v0.nii"));
        match number % 3 {
            0 => scene.write_text(&name, "voxels"),
            1 => scene.spoil(&name, |bytes| bytes.truncate(9000)),
            _ => scene.spoil(&name, |bytes| repeat_channels(bytes, 2)),
        }
    }
}

/// Submits all studies; twice at once, as two archives that tell of the same.
fn submit(scene: &Scene, url: &str) -> Vec<Child> {
    let arguments =
        ["submit", "--nats", url, "--model", MODEL, "--out", "out", "--json", "--max-studies", LIMIT];
    let start = |_| {
        let mut command = scene.command();
        command.args(arguments).arg("scans").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    (0..2).map(start).collect()
}

fn status(scene: &Scene, url: &str) -> Value {
    let outcome = scene.bipvl(&["submit", "--nats", url, "--status", "--json"]).succeeds();
    serde_json::from_str(&outcome.stdout).unwrap()
}

/// Strikes until every study has left the queue.
fn until_all_are_done(fleet: &mut Fleet<'_>, submitters: &mut [Child]) -> Value {
    let (began, mut looked) = (Instant::now(), Instant::now());
    loop {
        fleet.go_on();
        if looked.elapsed() > Duration::from_secs(1) {
            looked = Instant::now();
            let now = status(fleet.scene, &fleet.url);
            assert!(began.elapsed() < PATIENCE, "{now:#}");
            let model = &now["models"][0];
            let is_empty = model["waiting"] == 0 && model["running"] == 0;
            if is_empty && submitters.iter_mut().all(|child| child.try_wait().unwrap().is_some()) {
                return now;
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Each study has one result, that of `bipvl predict`; what killed workers left beside them is counted.
fn check_results(scene: &Scene) -> usize {
    scene.bipvl(&["predict", "--model", run(), "--out", "expected", "volumes"]).succeeds();
    let expected: Vec<Vec<u8>> =
        (0..VOLUMES).map(|number| scene.bytes(&format!("expected/v{number}.nii"))).collect();
    let (left, names): (Vec<String>, Vec<String>) =
        scene.names("out").into_iter().partition(|name| name.starts_with(".partial-"));
    let wanted: Vec<String> = (0..STUDIES)
        .flat_map(|number| ["nii", "result.json"].map(|ending| format!("s{number:04}.{ending}")))
        .collect();
    assert!(names == wanted, "{} files of {}", names.len(), wanted.len());
    let mut jobs = BTreeSet::new();
    for number in 0..STUDIES {
        let result = scene.bytes(&format!("out/s{number:04}.nii"));
        assert!(result == expected[number % VOLUMES], "s{number:04} differs from predict");
        let record = scene.json(&format!("out/s{number:04}.result.json"));
        assert!(jobs.insert(record["job"].as_str().unwrap().to_owned()), "two results of one job");
    }
    left.len()
}

/// How often studies were segmented, from what the workers said.
fn segmentations(scene: &Scene) -> usize {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for number in 1..=WORKERS {
        for line in scene.text(&format!("logs/{number}")).lines() {
            if let Some((name, _)) = line.split_once(": done in ") {
                *times.entry(name.to_owned()).or_default() += 1;
            }
        }
    }
    times.values().sum()
}

#[test]
#[expect(clippy::print_stdout, reason = "figures, and why it is skipped")]
fn every_study_has_one_result_whoever_is_killed() {
    let Ok(networks) = env::var(NETWORKS) else {
        println!("skipped: {NETWORKS} names no networks; .ci/cluster/nats.sh makes them");
        return;
    };
    let seed = env::var(SEED).map_or(1, |seed| seed.parse().unwrap());
    let Some(server) = Server::start_at(HUB) else { return };
    let (scene, url) = (Scene::with_classes(&[]), server.url());
    write_studies(&scene);
    run();
    let began = Instant::now();
    let mut submitters = submit(&scene, &url);
    let mut fleet = Fleet::start(&scene, networks, server, seed);
    let end = until_all_are_done(&mut fleet, &mut submitters);
    let seconds = began.elapsed().as_secs_f64();
    let (kills, cuts) = (fleet.kills, fleet.cuts);
    assert_eq!(fleet.server_blow, 0, "the server was not killed");
    fleet.leave();

    let mut accepted = 0;
    for child in submitters {
        let outcome = Outcome::of(child.wait_with_output().unwrap()).succeeds();
        assert!(outcome.stderr.contains("the queue is full"), "{}", outcome.stderr);
        let told: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(told["accepted"].as_u64().unwrap() + told["duplicates"].as_u64().unwrap(), 1020);
        accepted += told["accepted"].as_u64().unwrap();
    }
    assert_eq!(accepted as usize, STUDIES + BROKEN);
    let left = check_results(&scene);
    let dead = end["dead"].as_array().unwrap().iter();
    let dead: BTreeSet<String> =
        dead.map(|letter| letter["study"]["name"].as_str().unwrap().to_owned()).collect();
    let broken: BTreeSet<String> = (0..BROKEN).map(|number| format!("broken{number:02}")).collect();
    assert_eq!(dead, broken);
    let deliveries = end["models"][0]["deliveries"].as_u64().unwrap();
    println!(
        "{STUDIES} studies done once and {BROKEN} broken ones in the dead letters after {seconds:.1} s (seed {seed}): \
         {kills} workers and the server killed, {cuts} links cut, {} redeliveries, {} segmentations, {left} files left unfinished",
        deliveries - accepted,
        segmentations(&scene)
    );
}
