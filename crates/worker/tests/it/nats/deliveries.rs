//! Studies are done once, whoever leaves meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use bipvl_worker::{Failure, Study, WorkerOptions};

use super::{
    scene::{MODEL, Scene, studies},
    server::wait_for,
};

#[test]
fn four_workers_do_every_study_once() {
    let Some(scene) = Scene::new() else { return };
    let submitted = scene.submit(&studies(200));
    assert_eq!((submitted.accepted, submitted.duplicates), (200, 0));
    let status = scene.status();
    assert_eq!((status.models[0].waiting, status.models[0].is_served), (200, false));
    let again = scene.submit(&studies(201));
    assert_eq!((again.accepted, again.duplicates), (1, 200));
    let start = |number: usize| {
        let options =
            WorkerOptions { max_idle: Some(Duration::ZERO), ..scene.worker_options(&format!("w{number}")) };
        scene.start(options, |_| Ok(()))
    };
    let workers: Vec<_> = (0..4).map(start).collect();
    let done: u64 = workers.into_iter().map(|worker| worker.join().done).sum();
    assert_eq!((done, scene.results.writes()), (201, 201));
    let status = scene.wait_until_empty();
    assert_eq!((status.models[0].deliveries, status.dead.len()), (201, 0));
}

#[test]
fn a_study_that_was_done_before_is_acknowledged_without_work() {
    let Some(scene) = Scene::new() else { return };
    let all = studies(1);
    scene.submit(&all);
    assert_eq!(scene.drain("w1", |_| Ok(())).done, 1);
    // Another message of the same job, as after the window in which the server knows duplicates.
    let other = Study { formats: vec!["nrrd".to_owned()], ..all[0].clone() };
    scene.submit(&[other]);
    let summary = scene.drain("w2", |_| panic!("it is done"));
    assert_eq!((summary.done, summary.already_done), (0, 1));
    assert_eq!(scene.results.writes(), 1);
}

/// A study takes longer than the server waits: while a second worker asks in vain, and until it gives up.
#[test]
fn a_study_that_gives_signs_of_life_is_not_given_to_another() {
    let Some(scene) = Scene::new() else { return };
    scene.submit(&studies(1));
    let (begun, has_begun) = mpsc::channel();
    let (end, may_end) = mpsc::channel::<()>();
    let may_end = std::sync::Mutex::new(may_end);
    let first = scene.start(scene.worker_options("slow"), move |_| {
        begun.send(()).unwrap();
        may_end.lock().unwrap().recv().unwrap();
        Ok(())
    });
    has_begun.recv().unwrap();
    let options = WorkerOptions { max_idle: Some(Duration::from_secs(4)), ..scene.worker_options("idle") };
    let second = scene.start(options, |_| panic!("another has it")).join();
    assert_eq!(second.done + second.already_done, 0);
    end.send(()).unwrap();
    let status = scene.wait_until_empty();
    assert_eq!((first.stop().done, status.models[0].deliveries), (1, 1));
}

#[test]
fn a_worker_that_leaves_gives_its_study_back_however_often() {
    let Some(scene) = Scene::new() else { return };
    scene.submit(&studies(1));
    // As often as a study may be delivered, and then some.
    for number in 0..5 {
        let (begun, has_begun) = mpsc::channel();
        let leaving = Arc::new(AtomicBool::new(false));
        let told = leaving.clone();
        let worker = scene.start(scene.worker_options(&format!("w{number}")), move |_| {
            begun.send(()).unwrap();
            wait_for("the signal", || told.load(Ordering::SeqCst).then_some(()));
            Err(Failure::Interrupted)
        });
        has_begun.recv().unwrap();
        worker.tell_to_stop();
        leaving.store(true, Ordering::SeqCst);
        assert_eq!(worker.join().given_back, 1, "{number}");
    }
    assert_eq!(scene.drain("last", |_| Ok(())).done, 1);
    assert_eq!(scene.wait_until_empty().dead, []);
}

#[test]
fn workers_find_a_server_that_was_killed() {
    let Some(mut scene) = Scene::new() else { return };
    scene.submit(&studies(40));
    let done = Arc::new(AtomicUsize::new(0));
    let count = done.clone();
    let (reached, has_reached) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let may_go = std::sync::Mutex::new(may_go);
    let worker = scene.start(scene.worker_options("w"), move |_| {
        // In the middle of the twentieth study the server dies.
        if count.fetch_add(1, Ordering::SeqCst) == 20 {
            reached.send(()).unwrap();
            may_go.lock().unwrap().recv().unwrap();
        }
        Ok(())
    });
    has_reached.recv().unwrap();
    scene.server.kill();
    go.send(()).unwrap();
    scene.server.restart();
    let status = scene.wait_until_empty();
    assert_eq!(scene.results.names().len(), 40);
    assert_eq!(status.dead, []);
    let summary = worker.stop();
    assert_eq!(summary.done as usize, scene.results.writes());
    assert_eq!(scene.results.writes(), 40);
}

#[test]
fn a_worker_takes_studies_of_its_models_alone() {
    let Some(scene) = Scene::new() else { return };
    let of = |model: &str| Study { model: model.to_owned(), name: model.to_owned(), ..studies(1)[0].clone() };
    scene.submit(&[of(MODEL), of("liver-1.5"), of("other")]);
    let options = WorkerOptions {
        models: vec![MODEL.to_owned(), "liver-1.5".to_owned()],
        max_idle: Some(Duration::ZERO),
        ..scene.worker_options("w")
    };
    assert_eq!(scene.start(options, |_| Ok(())).join().done, 2);
    assert_eq!(scene.results.names(), ["liver-1.5", MODEL]);
    let status = scene.status();
    let waiting: Vec<(&str, u64)> =
        status.models.iter().map(|model| (model.model.as_str(), model.waiting)).collect();
    assert_eq!(waiting, [("liver-1.5", 0), (MODEL, 0), ("other", 1)]);
}

/// After a crash the server may hold studies that its consumer takes for done: here by messages from an older copy of its
/// files.
#[test]
fn studies_that_the_server_has_forgotten_are_done() {
    let Some(mut scene) = Scene::new() else { return };
    scene.submit(&studies(3));
    let messages = scene.server.store().join("jetstream/$G/streams/studies/msgs");
    scene.server.stop();
    let copy = tempfile::tempdir().unwrap();
    copy_files(&messages, copy.path());
    scene.server.restart();
    let worker = scene.drain("w1", |_| Ok(()));
    assert_eq!(worker.done, 3);
    scene.server.stop();
    std::fs::remove_dir_all(&messages).unwrap();
    std::fs::create_dir(&messages).unwrap();
    copy_files(copy.path(), &messages);
    scene.results.forget("case_1");
    scene.server.restart();
    let summary = scene.drain("w2", |_| Ok(()));
    assert_eq!((summary.done, summary.already_done), (1, 2));
    assert_eq!(scene.results.names().len(), 3);
    scene.wait_until_empty();
}

fn copy_files(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}
