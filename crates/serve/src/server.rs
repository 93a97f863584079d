//! Starts and stops a server.

use std::{future::Future, net::SocketAddr, sync::Arc, thread::JoinHandle, time::Duration};

use axum::Router;
use tokio::{net::TcpListener, runtime::Runtime};

use crate::{
    Error, Result, ServeOptions,
    app::{App, SESSION, router},
    archive::Archive,
    auth::Tokens,
    delegate::Workers,
    engine::Engine,
    library::Library,
    metrics::Metrics,
    models::Models,
    origin::Origins,
    queue::{Queue, now},
    rules::{self, Rules},
};

/// How often expired results, sessions and leases are looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(5);
/// How long open requests may take after the server was told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    runtime: Runtime,
    listener: TcpListener,
    address: SocketAddr,
    app: App,
    workers: Vec<JoinHandle<()>>,
    keep_results: Option<Duration>,
    rules: Option<Rules>,
    poll: Duration,
}

impl Server {
    /// Opens models, data folder and database, starts the workers, and listens.
    ///
    /// # Errors
    ///
    /// When a run, the folder, the database or the tokens cannot be opened; when the address is taken, or others could
    /// reach it without tokens.
    pub fn start(options: &ServeOptions) -> Result<Self> {
        let address = options.listen;
        if !address.ip().is_loopback() && options.tokens.is_none() && !options.no_auth {
            return Err(Error::Unprotected { address });
        }
        let tokens = options.tokens.as_deref().map(Tokens::read).transpose()?.unwrap_or_default();
        let runtime = Runtime::new().map_err(|reason| Error::Listen { address, reason })?;
        let listener = runtime
            .block_on(TcpListener::bind(address))
            .map_err(|reason| Error::Listen { address, reason })?;
        let address = listener.local_addr().map_err(|reason| Error::Listen { address, reason })?;
        let is_shared = options.database.as_deref().is_some_and(|url| !url.starts_with("sqlite:"));
        let library = Library::open(&options.data, is_shared)?;
        let url = options.database.clone().unwrap_or_else(|| Queue::sqlite_url(&library.database()));
        let queue = runtime.block_on(Queue::open(&url))?;
        let models = Models::open(&options.models, &options.device)?;
        let rules = options.rules.as_deref().map(|path| Rules::read(path, &models)).transpose()?;
        let queue_of_studies = options.workers.as_ref().map(|queue| runtime.block_on(Workers::open(queue)));
        let engine = Engine::new(models, library, queue, Metrics::new());
        let engine = Arc::new(engine.with_workers(queue_of_studies.transpose()?));
        // Without models nothing can run, and jobs of other servers are left to them.
        let count = if engine.models.len() == 0 { 0 } else { options.parallel_jobs.max(1) };
        let workers = (0..count).map(|_| engine.start_worker(runtime.handle().clone())).collect();
        let app = App {
            engine,
            origins: Arc::new(Origins::new(options)),
            tokens: Arc::new(tokens),
            archive: options.dicomweb.as_deref().map(|url| Archive::new(url, options.max_upload)),
            viewed: Arc::default(),
            max_upload: options.max_upload,
            demo: options.demo,
        };
        Ok(Self {
            runtime,
            listener,
            address,
            app,
            workers,
            keep_results: options.keep_results,
            rules,
            poll: options.poll,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is ready; jobs that run are put back.
    ///
    /// # Errors
    ///
    /// When the listener fails.
    pub fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let Self { runtime, listener, address, app, workers, keep_results, rules, poll } = self;
        let engine = app.engine.clone();
        let followed = rules.zip(app.archive.clone());
        let watch = followed
            .map(|(rules, archive)| runtime.spawn(rules::watch(engine.clone(), archive, rules, poll)));
        let router: Router = router(app);
        let housekeeping = runtime.spawn(keep_house(engine.clone(), keep_results));
        let stopping = engine.clone();
        let stop = async move {
            stop.await;
            stopping.stop();
        };
        let served = runtime.block_on(async {
            let stopped = engine.clone();
            let serve = axum::serve(listener, router).with_graceful_shutdown(stop).into_future();
            let give_up = async {
                while !stopped.is_stopping() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                tokio::time::sleep(GRACE).await;
            };
            tokio::select! {
                served = serve => served,
                () = give_up => Ok(()),
            }
        });
        engine.stop();
        housekeeping.abort();
        if let Some(watch) = watch {
            watch.abort();
        }
        for worker in workers {
            if worker.join().is_err() {
                tracing::error!("a worker ended by a panic");
            }
        }
        runtime.block_on(async {
            engine.queue.release_own().await?;
            engine.queue.close().await;
            Ok::<_, Error>(())
        })?;
        // An archive that does not answer holds nobody up.
        runtime.shutdown_background();
        served.map_err(|reason| Error::Listen { address, reason })
    }
}

async fn keep_house(engine: Arc<Engine>, keep_results: Option<Duration>) {
    loop {
        if let Err(error) = tidy(&engine, keep_results).await {
            tracing::error!("{error}");
        }
        tokio::time::sleep(HOUSEKEEPING).await;
    }
}

async fn tidy(engine: &Engine, keep_results: Option<Duration>) -> Result<()> {
    engine.queue.release_expired().await?;
    // One that was given up may have been stopped after it wrote its result.
    for id in engine.queue.failed().await? {
        let _ = std::fs::remove_dir_all(engine.library.results(&id));
    }
    engine.library.expire_sessions(SESSION);
    if let Some(kept) = keep_results {
        for id in engine.queue.ended_before(now() - kept.as_millis() as i64).await? {
            engine.delete_job(&id).await?;
        }
    }
    Ok(())
}
