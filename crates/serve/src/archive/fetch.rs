//! WADO-RS: a series of the archive into the library (DICOM PS3.18, section 10.4).

use std::sync::Arc;

use bipvl_io::FileError;
use mime::Mime;
use multer::{Field, Multipart};
use tokio::{fs::File, io::AsyncWriteExt, task::spawn_blocking};
use ureq::{Body, http::Response};

use super::{Archive, body, is_uid, with_credentials};
use crate::{
    ApiError, ApiResult, Error, Result,
    app::App,
    beside::beside,
    engine::Engine,
    library::{Incoming, Scan, Uploaded},
};

/// The original files, in whatever transfer syntax they are stored.
const ACCEPT: &str = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";

/// The scans of a series.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    pub(crate) scans: Vec<Scan>,
    /// Whether they were not in the library before.
    pub(crate) is_new: bool,
}

/// Brings a series into the library, unless it is there.
pub(crate) async fn fetch(archive: &Archive, engine: &Arc<Engine>, series: &str) -> Result<Fetched> {
    if !is_uid(series) {
        return Err(Error::NotInArchive(format!("`{series}` is no SeriesInstanceUID")));
    }
    let _permit = archive.fetching.acquire().await;
    if let Some(fetched) = in_library(engine, series).await? {
        return Ok(fetched);
    }
    let mut incoming = engine.library.incoming()?;
    archive.retrieve(series, &mut incoming).await?;
    let added = {
        let engine = engine.clone();
        beside(move || {
            let uploaded = Uploaded::check(incoming).map_err(Error::NoScan)?;
            engine.library.add(&uploaded, None)
        })
        .await?
    };
    match added {
        Ok(scans) => {
            let is_asked = |scan: &Scan| scan.series_uid.as_deref() == Some(series);
            let scans: Vec<Scan> = scans.into_iter().filter(is_asked).collect();
            if scans.is_empty() {
                return Err(archive.refused(format!("another series was sent than `{series}`")));
            }
            Ok(Fetched { scans, is_new: true })
        }
        // Two clients asked for it at once.
        Err(Error::Exists(id)) => in_library(engine, series).await?.ok_or(Error::Exists(id)),
        Err(error) => Err(error),
    }
}

/// The scans of a series that is in the library.
pub(crate) async fn in_library(engine: &Arc<Engine>, series: &str) -> Result<Option<Fetched>> {
    let (engine, series) = (engine.clone(), series.to_owned());
    let scans = beside(move || engine.library.of_series(&series)).await??;
    Ok((!scans.is_empty()).then_some(Fetched { scans, is_new: false }))
}

/// Brings the series that a viewer names by its UID into the library, if it is not there and there is an archive.
pub(crate) async fn ensure(app: &App, id: &str) -> ApiResult<()> {
    let Some(archive) = app.archive.as_ref().filter(|_| is_uid(id)) else { return Ok(()) };
    fetch(archive, &app.engine, id).await.map(|_| ()).map_err(ApiError::from)
}

impl Archive {
    async fn retrieve(&self, series: &str, incoming: &mut Incoming) -> Result<()> {
        let (archive, uid) = (self.clone(), series.to_owned());
        let answer = spawn_blocking(move || archive.request_series(&uid)).await??;
        let media_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
        let media_type = media_type.and_then(|text| text.parse::<Mime>().ok());
        let boundary = media_type
            .filter(|media_type| media_type.essence_str() == "multipart/related")
            .and_then(|media_type| Some(media_type.get_param("boundary")?.to_string()))
            .ok_or_else(|| {
                self.refused("no multipart/related answer with a boundary to a WADO-RS request")
            })?;
        let mut parts = Multipart::new(body::stream(answer.into_body(), self.max_bytes), boundary);
        while let Some(part) = parts.next_field().await.map_err(|error| self.broken(&error))? {
            self.save(part, incoming).await?;
        }
        if incoming.files().is_empty() {
            return Err(Error::NotInArchive(format!("the archive sent no instance of series `{series}`")));
        }
        Ok(())
    }

    fn request_series(&self, series: &str) -> Result<Response<Body>> {
        let study = self.study_of(series)?;
        let request = self.agent.get(self.url(&format!("studies/{study}/series/{series}")));
        let answer = with_credentials(request.header("accept", ACCEPT)).call();
        let answer = answer.map_err(|error| self.refused(error))?;
        match answer.status().as_u16() {
            200 => Ok(answer),
            404 => Err(Error::NotInArchive(format!("the archive has no series `{series}`"))),
            status => Err(self.refused(format!("status {status} to a WADO-RS request; 200 is expected"))),
        }
    }

    async fn save(&self, mut part: Field<'_>, incoming: &mut Incoming) -> Result<()> {
        let path = incoming.next_path("instance")?;
        let failed = |reason| FileError::new(&path, reason);
        let mut file = File::create(&path).await.map_err(failed)?;
        while let Some(piece) = part.chunk().await.map_err(|error| self.broken(&error))? {
            file.write_all(&piece).await.map_err(failed)?;
        }
        Ok(file.flush().await.map_err(failed)?)
    }

    /// What is wrong in the middle of an answer.
    fn broken(&self, error: &multer::Error) -> Error {
        match error {
            multer::Error::StreamReadFailed(reason) => self.refused(reason),
            error => self.refused(format!("a broken answer to a WADO-RS request: {error}")),
        }
    }
}
