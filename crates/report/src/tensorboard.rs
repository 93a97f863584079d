//! Writes scalars as TensorBoard event files.
//!
//! A file is a row of records: length (u64), checksum of the length (u32), content, checksum of the
//! content (u32), all little endian. The content is one protobuf message:
//! `Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5 }`,
//! `Summary { repeated Value value = 1 }`, `Value { string tag = 1; float simple_value = 2 }`.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bipvl_io::FileError;

use crate::Result;

/// An event file, open for appending scalars.
pub struct EventFile {
    path: PathBuf,
    records: BufWriter<File>,
}

impl EventFile {
    /// Creates an event file in `folder`, which is created if missing.
    ///
    /// # Errors
    ///
    /// If the folder or the file cannot be created.
    pub fn create(folder: &Path) -> Result<Self> {
        let now = SystemTime::now();
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let name = format!("events.out.tfevents.{seconds:010}.bipvl.{}", std::process::id());
        Self::create_at(&folder.join(name), now)
    }

    /// Creates the event file `path` with the given time.
    ///
    /// # Errors
    ///
    /// If the folder or the file cannot be created, or the file exists.
    pub fn create_at(path: &Path, time: SystemTime) -> Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| FileError::new(folder, error))?;
        }
        let file = File::create_new(path).map_err(|error| FileError::new(path, error))?;
        let mut events = Self { path: path.to_owned(), records: BufWriter::new(file) };
        let mut event = wall_time(time);
        put_bytes(&mut event, 3, b"brain.Event:2");
        events.append(&event)?;
        events.flush()?;
        Ok(events)
    }

    /// Appends `value` under `tag`; names are grouped by the part before a slash.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn scalar(&mut self, tag: &str, step: u64, value: f64) -> Result<()> {
        self.scalar_at(tag, step, value, SystemTime::now())
    }

    /// [`Self::scalar`] with the given time.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn scalar_at(&mut self, tag: &str, step: u64, value: f64, time: SystemTime) -> Result<()> {
        let mut scalar = Vec::new();
        put_bytes(&mut scalar, 1, tag.as_bytes());
        put_key(&mut scalar, 2, Wire::Fixed32);
        scalar.extend((value as f32).to_le_bytes());
        let mut summary = Vec::new();
        put_bytes(&mut summary, 1, &scalar);
        let mut event = wall_time(time);
        put_key(&mut event, 2, Wire::Varint);
        put_varint(&mut event, step);
        put_bytes(&mut event, 5, &summary);
        self.append(&event)
    }

    /// Flushes the file to the operating system, so that a viewer can read it.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        self.records.flush().map_err(|error| FileError::new(&self.path, error).into())
    }

    fn append(&mut self, event: &[u8]) -> Result<()> {
        let length = (event.len() as u64).to_le_bytes();
        let record = [
            &length[..],
            &masked_checksum(&length).to_le_bytes(),
            event,
            &masked_checksum(event).to_le_bytes(),
        ]
        .concat();
        self.records.write_all(&record).map_err(|error| FileError::new(&self.path, error).into())
    }
}

/// CRC-32C, rotated and offset as the format requires, because checksums of data with checksums are weak.
fn masked_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Wire type of a protobuf field, as in its key.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

/// The beginning of every event.
fn wall_time(time: SystemTime) -> Vec<u8> {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64();
    let mut event = Vec::new();
    put_key(&mut event, 1, Wire::Fixed64);
    event.extend(seconds.to_le_bytes());
    event
}

fn put_key(message: &mut Vec<u8>, field: u8, wire: Wire) {
    message.push(field << 3 | wire as u8);
}

fn put_bytes(message: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    put_key(message, field, Wire::Bytes);
    put_varint(message, bytes.len() as u64);
    message.extend(bytes);
}

/// Seven bits per byte, lowest first; the high bit marks that more follow.
fn put_varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CRC-32C bit by bit, from the polynomial alone (Castagnoli, reflected).
    fn slow_checksum(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
        })
    }

    /// The contents of a file's records, every length and checksum checked on the way.
    fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let unmask = |stored: &[u8]| {
            let turned = u32::from_le_bytes(stored.try_into().unwrap()).wrapping_sub(0xa282_ead8);
            turned.rotate_left(15)
        };
        let mut contents = Vec::new();
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            assert_eq!(unmask(&bytes[8..12]), slow_checksum(&bytes[..8]));
            let content = &bytes[12..12 + length];
            assert_eq!(unmask(&bytes[12 + length..16 + length]), slow_checksum(content));
            contents.push(content.to_vec());
            bytes = &bytes[16 + length..];
        }
        contents
    }

    fn written(write: impl FnOnce(&mut EventFile)) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/events");
        let mut events = EventFile::create_at(&path, UNIX_EPOCH + Duration::from_millis(1_500)).unwrap();
        write(&mut events);
        events.flush().unwrap();
        fs::read(path).unwrap()
    }

    #[test]
    fn the_slow_checksum_is_the_published_one() {
        assert_eq!(slow_checksum(b"123456789"), 0xe306_9283); // the check value of CRC-32C
    }

    #[test]
    fn a_new_file_holds_the_version_record() {
        let bytes = written(|_| {});
        assert_eq!(bytes[..8], 24_u64.to_le_bytes());
        // 1.5 s is 0x3ff8 and zeros; field 1 as a double is key 9, field 3 as bytes key 0x1a
        assert_eq!(records(&bytes), [b"\x09\0\0\0\0\0\0\xf8\x3f\x1a\x0dbrain.Event:2".to_vec()]);
    }

    #[test]
    fn a_scalar_is_the_message_counted_by_hand() {
        let bytes = written(|events| {
            events.scalar_at("loss", 300, 0.5, UNIX_EPOCH + Duration::from_secs(2)).unwrap();
        });
        // step 300 is 0b10_0101100; 0.5 is 0x3f000000; value 11, summary 13 bytes
        let expected = b"\x09\0\0\0\0\0\0\0\x40\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04loss\x15\0\0\0\x3f";
        assert_eq!(records(&bytes)[1], expected);
    }

    #[test]
    fn long_tags_and_large_steps_keep_the_framing_whole() {
        let tag = "dice/".to_owned() + &"x".repeat(300);
        let bytes = written(|events| {
            for step in [0, 127, 128, u64::from(u32::MAX)] {
                events.scalar(&tag, step, f64::NAN).unwrap();
            }
        });
        assert_eq!(records(&bytes).len(), 5);
    }

    #[test]
    fn an_existing_file_is_never_overwritten() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = EventFile::create_at(file.path(), UNIX_EPOCH).err().unwrap();
        assert!(error.to_string().contains(&file.path().display().to_string()));
    }

    #[test]
    fn files_are_named_as_viewers_look_for_them() {
        let folder = tempfile::tempdir().unwrap();
        EventFile::create(folder.path()).unwrap();
        let name = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().file_name();
        assert!(name.to_str().unwrap().starts_with("events.out.tfevents."), "{}", name.display());
    }
}
