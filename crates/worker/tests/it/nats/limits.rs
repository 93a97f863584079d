//! Full queues, wrong addresses, figures.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bipvl_worker::{Error, Queue, QueueOptions, Submission, WorkerOptions};

use super::scene::{Scene, studies};

#[test]
fn a_full_queue_accepts_no_more_until_workers_make_room() {
    let Some(scene) = Scene::new() else { return };
    let queue = scene.runtime.block_on(Queue::open(&scene.queue_options("test", Some(5)))).unwrap();
    let all = studies(12);
    let refused = scene.runtime.block_on(queue.submit(&all[..7], Submission::Fail, &|| {}));
    let error = refused.unwrap_err();
    assert!(matches!(error, Error::Full { accepted: 5, left: 2, .. }), "{error}");
    assert_eq!(scene.status().max_studies, Some(5));

    let full = Arc::new(AtomicUsize::new(0));
    let count = full.clone();
    let options = WorkerOptions { max_idle: Some(Duration::from_secs(3)), ..scene.worker_options("w") };
    let waiting = full.clone();
    // The worker begins once the submission waits.
    let worker = scene.start(options, move |_| {
        super::server::wait_for("a full queue", || (waiting.load(Ordering::SeqCst) > 0).then_some(()));
        Ok(())
    });
    let on_full = move || {
        count.fetch_add(1, Ordering::SeqCst);
    };
    let submitted = scene.runtime.block_on(queue.submit(&all, Submission::Wait, &on_full)).unwrap();
    assert_eq!((submitted.accepted, submitted.duplicates), (7, 5));
    assert_eq!(worker.join().done, 12);
    assert!(full.load(Ordering::SeqCst) > 0);

    // A larger queue.
    scene.runtime.block_on(Queue::open(&scene.queue_options("test", Some(50)))).unwrap();
    assert_eq!(scene.status().max_studies, Some(50));
}

#[test]
fn figures_and_health_are_answered_over_http() {
    let Some(scene) = Scene::new() else { return };
    scene.submit(&studies(3));
    let options = WorkerOptions {
        metrics: Some("127.0.0.1:0".parse().unwrap()),
        max_idle: Some(Duration::ZERO),
        ..scene.worker_options("w")
    };
    let worker = bipvl_worker::Worker::start(options, &|| false).unwrap().unwrap();
    let address = worker.metrics_address().unwrap();
    let get = |path: &str| {
        let mut answer = ureq::get(format!("http://{address}{path}")).call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    };
    assert_eq!(get("/healthz").0, 200);
    assert_eq!(get("/readyz").0, 200);
    let (status, text) = get("/metrics");
    assert_eq!(status, 200);
    assert!(text.contains("bipvl_worker_connected 1") && text.ends_with("# EOF\n"), "{text}");
}

#[test]
fn what_is_no_server_is_said() {
    let Some(scene) = Scene::new() else { return };
    let open = |options: &QueueOptions| scene.runtime.block_on(Queue::open(options)).unwrap_err().to_string();
    let right = scene.queue_options("test", None);
    let error = open(&QueueOptions { name: "a.b".to_owned(), ..right.clone() });
    assert!(error.contains("`a.b` is no name of a queue"), "{error}");
    let error = open(&QueueOptions { url: "nats://me:secret@127.0.0.1:1".to_owned(), ..right.clone() });
    assert!(error.starts_with("nats://127.0.0.1:1: cannot connect") && !error.contains("secret"), "{error}");
    let error = open(&QueueOptions { url: "nats://host:port".to_owned(), ..right });
    assert!(error.contains("not the address of a NATS server"), "{error}");
}
