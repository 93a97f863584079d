//! An archive that answers as it is told, to see what a broken or hostile one does.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

/// Answers every request with the bytes that a function makes of its head, and closes.
pub(super) struct Canned {
    pub(super) address: String,
    /// The heads of the requests that came.
    pub(super) heads: Arc<Mutex<Vec<String>>>,
    is_stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Canned {
    pub(super) fn start(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (heads, is_stopping) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(AtomicBool::new(false)));
        let (kept, stop) = (heads.clone(), is_stopping.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let head = head(&stream);
                // The client may have gone away.
                let _ = (&stream).write_all(&answer(&head));
                kept.lock().unwrap().push(head);
            }
        });
        Self { address, heads, is_stopping, thread: Some(thread) }
    }

    pub(super) fn root(&self) -> String {
        format!("http://{}/dicom-web", self.address)
    }
}

impl Drop for Canned {
    fn drop(&mut self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
        let _ = self.thread.take().unwrap().join();
    }
}

/// All up to the blank line.
fn head(mut stream: &TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// An answer with a body.
pub(super) fn answer(status: &str, media_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
