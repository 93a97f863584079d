//! Studies that no retry mends leave the queue with their reason.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_nats::jetstream::{self, consumer::pull};
use bipvl_worker::{Failure, Job, WorkerOptions};
use futures_util::StreamExt;

use super::scene::{MODEL, Scene, studies};

fn unreadable(job: &Job) -> Result<(), Failure> {
    Err(Failure::Permanent(format!("{}: truncated", job.study.scan[0])))
}

#[test]
fn what_fails_for_good_is_a_dead_letter_at_once_and_can_be_submitted_again() {
    let Some(scene) = Scene::new() else { return };
    let all = studies(2);
    scene.submit(&all);
    let act = |job: &Job| if job.study.name == "case_0" { unreadable(job) } else { Ok(()) };
    let summary = scene.drain("w1", act);
    assert_eq!((summary.done, summary.dead), (1, 1));
    let status = scene.wait_until_empty();
    let [letter] = &status.dead[..] else { panic!("{status:?}") };
    assert_eq!(letter.id, all[0].id());
    assert_eq!(letter.study.as_ref(), Some(&all[0]));
    assert_eq!((letter.reason.as_str(), letter.deliveries), ("case_0.nii: truncated", 1));
    assert_eq!(letter.worker, "w1");

    // Within the window in which the server knows duplicates.
    let submitted = scene.submit(&all[..1]);
    assert_eq!((submitted.accepted, submitted.revived, submitted.duplicates), (1, 1, 0));
    assert_eq!(scene.status().dead, []);
    assert_eq!(scene.drain("w2", unreadable).dead, 1);
    scene.submit(&all[..1]);
    assert_eq!(scene.drain("w3", |_| Ok(())).done, 1);
    assert_eq!(scene.wait_until_empty().dead, []);
}

#[test]
fn what_may_pass_is_tried_again_and_given_up_with_the_last_reason() {
    let Some(scene) = Scene::new() else { return };
    scene.submit(&studies(2));
    let attempts = Arc::new(AtomicUsize::new(0));
    let count = attempts.clone();
    let options = WorkerOptions { max_deliveries: 2, ..scene.worker_options("w") };
    let worker = scene.start(options, move |job| {
        if job.study.name == "case_1" && job.delivery == 2 {
            return Ok(());
        }
        count.fetch_add(1, Ordering::SeqCst);
        Err(Failure::Transient(format!("disk full, {}", job.delivery)))
    });
    let status = scene.wait_until_empty();
    let summary = worker.stop();
    assert_eq!((summary.done, summary.retried, summary.dead), (1, 2, 1));
    assert_eq!(attempts.load(Ordering::SeqCst), 3);
    assert_eq!((status.dead[0].reason.as_str(), status.dead[0].deliveries), ("disk full, 2", 2));
}

#[test]
fn a_panic_is_one_failed_attempt() {
    let Some(scene) = Scene::new() else { return };
    scene.submit(&studies(1));
    let options = WorkerOptions { max_deliveries: 1, ..scene.worker_options("w") };
    let worker = scene.start(options, |_| panic!("the tensor has another shape"));
    let status = scene.wait_until_empty();
    assert_eq!(status.dead[0].reason, "the segmentation failed: the tensor has another shape");
    worker.stop();
}

/// Takes a study as a worker does that is killed then: it never says anything.
async fn take_and_die(url: &str) -> u64 {
    let context = jetstream::new(async_nats::connect(url).await.unwrap());
    let stream = context.get_stream("studies").await.unwrap();
    let consumer: jetstream::consumer::Consumer<pull::Config> = stream.get_consumer(MODEL).await.unwrap();
    let mut batch =
        consumer.batch().max_messages(1).expires(Duration::from_secs(30)).messages().await.unwrap();
    let message = batch.next().await.unwrap().unwrap();
    message.info().unwrap().delivered as u64
}

#[test]
fn a_study_that_kills_its_workers_becomes_a_dead_letter() {
    let Some(scene) = Scene::new() else { return };
    // The consumer, with a short wait.
    let options = WorkerOptions { max_idle: Some(Duration::ZERO), ..scene.worker_options("first") };
    scene.start(options, |_| Ok(())).join();
    scene.submit(&studies(1));
    for delivery in 1..=3 {
        assert_eq!(scene.runtime.block_on(take_and_die(&scene.server.url())), delivery);
    }
    let worker = scene.start(scene.worker_options("w"), |_| panic!("it was tried often enough"));
    let status = scene.wait_until_empty();
    assert_eq!(status.dead.len(), 1);
    assert!(status.dead[0].reason.starts_with("given to a worker 3 times"), "{}", status.dead[0].reason);
    assert_eq!(worker.stop().dead, 1);
}

/// Another worker buries the study while the one that has it cannot be heard, and finishes after all.
#[test]
fn a_late_result_takes_the_dead_letter_back() {
    let Some(scene) = Scene::new() else { return };
    scene.submit(&studies(1));
    let queue = scene.open();
    let url = scene.server.url();
    let options = WorkerOptions { max_deliveries: 1, ..scene.worker_options("w") };
    let worker = scene.start(options, move |job| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let client = async_nats::connect(&url).await.unwrap();
            let letter = serde_json::json!({
                "id": job.id, "reason": "lost", "deliveries": 2, "worker": "other", "study": null
            });
            let subject = format!("studies.dead.{}", job.id);
            let context = jetstream::new(client);
            context.publish(subject, letter.to_string().into()).await.unwrap().await.unwrap();
        });
        Ok(())
    });
    let status = scene.wait_until_empty();
    assert_eq!(worker.stop().done, 1);
    assert_eq!(status.dead, []);
    drop(queue);
}

#[test]
fn a_message_that_is_no_study_becomes_a_dead_letter() {
    let Some(scene) = Scene::new() else { return };
    scene.open();
    scene.runtime.block_on(async {
        let context = jetstream::new(async_nats::connect(scene.server.url()).await.unwrap());
        let subject = format!("studies.study.{MODEL}");
        context.publish(subject, "voxels".into()).await.unwrap().await.unwrap();
    });
    assert_eq!(scene.drain("w", |_| Ok(())).dead, 1);
    let status = scene.wait_until_empty();
    let letter = &status.dead[0];
    assert_eq!((letter.id.as_str(), letter.message.as_deref()), ("message-1", Some("voxels")));
    assert!(letter.reason.starts_with("not a study"), "{}", letter.reason);
}
