//! Walks the structure of a file before it is parsed: every length must fit into the file, and sequences may be nested
//! only so deep. The parser allocates what a file claims, and descends as deep as it is nested.

use std::{
    io::{Cursor, Read, Seek, SeekFrom},
    ops::Range,
};

use dicom_core::{DataDictionary, Tag, VR, dictionary::DataDictionaryEntry};
use dicom_dictionary_std::StandardDataDictionary;
use flate2::read::DeflateDecoder;

/// Sequences within sequences at most; structured reports have about ten.
const MAX_NESTING: usize = 64;
/// A deflated data set, unpacked: 1 GiB.
const MAX_INFLATED: u64 = 1 << 30;
const UNDEFINED: u32 = u32::MAX;
const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
const IMPLICIT_VR: &str = "1.2.840.10008.1.2";
const EXPLICIT_VR: &str = "1.2.840.10008.1.2.1";
const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
const TRANSFER_SYNTAX: Tag = Tag(0x0002, 0x0010);

/// Why a file cannot be what it says.
type Fault = String;

/// Where the pixel data of a file are, if they are not compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NativePixels {
    /// Of the first byte in the file.
    pub(crate) offset: u64,
    /// Of all frames.
    pub(crate) length: u64,
    pub(crate) is_big_endian: bool,
}

/// How a file is built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Structure {
    /// Native pixel data.
    pub(crate) pixels: Option<NativePixels>,
    /// The transfer syntax, as stated or, without file meta information, as the first element shows it.
    pub(crate) syntax: String,
    /// Where the data set begins.
    pub(crate) data_set: u64,
    /// Whether the file begins as PS3.10 says.
    pub(crate) has_meta: bool,
    /// Elements of undefined length that the parser takes for explicit and that are not: sequences of an unknown value
    /// representation (PS3.5, 6.2.2, note 2), which are private.
    pub(crate) unknown: Vec<Range<u64>>,
}

impl Structure {
    /// Whether numbers of the data set begin with their highest byte.
    pub(crate) fn is_big_endian(&self) -> bool {
        self.syntax == BIG_ENDIAN
    }
}

/// Checks a file of `length` bytes.
pub(crate) fn check(reader: &mut (impl Read + Seek), length: u64) -> Result<Structure, Fault> {
    let mut head = Vec::new();
    reader.take(140).read_to_end(&mut head).map_err(|error| error.to_string())?;
    let start = match () {
        () if head.get(128..132) == Some(b"DICM") => 132,
        () if head.starts_with(b"DICM") => 4,
        () => 0,
    };
    reader.seek(SeekFrom::Start(start)).map_err(|error| error.to_string())?;
    let mut structure = Structure { data_set: start, ..Structure::default() };
    if let Some(syntax) = syntax_of_bare(&head[start as usize..]) {
        syntax.clone_into(&mut structure.syntax);
    } else {
        let mut meta = Walk::new(reader, start, length, Encoding::EXPLICIT);
        structure.syntax = meta.meta_group()?;
        structure.data_set = meta.position;
        structure.has_meta = start > 0 && head[start as usize..].starts_with(&[2, 0, 0, 0]);
    }
    let position = structure.data_set;
    match structure.syntax.as_str() {
        "1.2.840.10008.1.2.1.99" => {
            let mut inflated = Vec::new();
            let read = DeflateDecoder::new(reader).take(MAX_INFLATED).read_to_end(&mut inflated);
            read.map_err(|error| format!("the deflated data set is damaged: {error}"))?;
            let length = inflated.len() as u64;
            if length == MAX_INFLATED {
                return Err("the deflated data set unpacks to more than 1 GiB".to_owned());
            }
            // Its pixel data lie elsewhere in the file.
            Walk::new(&mut Cursor::new(inflated), 0, length, Encoding::EXPLICIT).data_set()?;
            return Ok(structure);
        }
        syntax => {
            let encoding = match syntax {
                IMPLICIT_VR => Encoding::IMPLICIT,
                BIG_ENDIAN => Encoding::BIG_ENDIAN,
                _ => Encoding::EXPLICIT,
            };
            let mut walk = Walk::new(reader, position, length, encoding);
            walk.data_set()?;
            (structure.pixels, structure.unknown) = (walk.pixels, walk.unknown);
        }
    }
    Ok(structure)
}

/// The transfer syntax of a data set without file meta information, such as older archives hold: its first element is of
/// group 0008, and shows byte order and value representations. `None` for anything else.
pub(crate) fn syntax_of_bare(head: &[u8]) -> Option<&'static str> {
    /// The first elements of group 0008 are short: a length, dates, a character set, UIDs.
    const LONGEST: u32 = 256;
    let (tag, rest) = head.split_first_chunk::<4>()?;
    let (length, _) = rest.split_first_chunk::<4>()?;
    let is_explicit = VR::from_binary([length[0], length[1]]).is_some();
    match *tag {
        [8, 0, _, 0] if is_explicit => Some(EXPLICIT_VR),
        [0, 8, 0, _] if is_explicit => Some(BIG_ENDIAN),
        [8, 0, _, 0] if u32::from_le_bytes(*length) <= LONGEST => Some(IMPLICIT_VR),
        _ => None,
    }
}

/// Bytes of a number; 1 for what is no number.
fn bytes_of_number(vr: VR) -> u32 {
    match vr {
        VR::US | VR::SS | VR::OW => 2,
        VR::UL | VR::SL | VR::FL | VR::AT | VR::OL | VR::OF => 4,
        VR::UV | VR::SV | VR::FD | VR::OV | VR::OD => 8,
        _ => 1,
    }
}

/// How elements are written.
#[derive(Clone, Copy)]
struct Encoding {
    is_implicit: bool,
    is_big_endian: bool,
}

impl Encoding {
    const EXPLICIT: Self = Self { is_implicit: false, is_big_endian: false };
    const IMPLICIT: Self = Self { is_implicit: true, is_big_endian: false };
    const BIG_ENDIAN: Self = Self { is_implicit: false, is_big_endian: true };
}

/// A sequence or item that has begun: where it ends, and how elements outside of it are written.
struct Level {
    end: Option<u64>,
    outer: Encoding,
    /// Where it began, if it is implicit within what is explicit.
    unknown: Option<u64>,
}

struct Walk<'a, R> {
    reader: &'a mut R,
    position: u64,
    length: u64,
    encoding: Encoding,
    pixels: Option<NativePixels>,
    unknown: Vec<Range<u64>>,
}

impl<'a, R: Read + Seek> Walk<'a, R> {
    fn new(reader: &'a mut R, position: u64, length: u64, encoding: Encoding) -> Self {
        Self { reader, position, length, encoding, pixels: None, unknown: Vec::new() }
    }

    /// The elements of group 0002; gives the transfer syntax.
    fn meta_group(&mut self) -> Result<String, Fault> {
        let mut syntax = String::new();
        while self.position < self.length {
            let tag = self.tag()?;
            if tag.group() != 2 {
                self.skip(-4)?;
                break;
            }
            let (_, length) = self.vr_and_length(tag)?;
            self.ensure_fits(tag, length)?;
            if tag == TRANSFER_SYNTAX && length <= 64 {
                let mut value = vec![0; length as usize];
                self.read(&mut value)?;
                String::from_utf8_lossy(&value).trim_end_matches(['\0', ' ']).clone_into(&mut syntax);
            } else {
                self.skip(i64::from(length))?;
            }
        }
        Ok(syntax)
    }

    /// All elements; finds the native pixel data.
    fn data_set(&mut self) -> Result<(), Fault> {
        let mut levels: Vec<Level> = Vec::new();
        loop {
            while let Some(end) = levels.last().and_then(|level| level.end) {
                if self.position < end {
                    break;
                }
                self.encoding = levels.pop().expect("it is there").outer;
            }
            if self.position >= self.length {
                // The parser would go on reading a sequence that has no end.
                let is_open = levels.iter().any(|level| level.end.is_none());
                let fault = "truncated: the file ends within a sequence".to_owned();
                return if is_open { Err(fault) } else { Ok(()) };
            }
            let tag = self.tag()?;
            match tag {
                ITEM_END | SEQUENCE_END => {
                    self.u32()?;
                    if let Some(level) = levels.pop() {
                        self.encoding = level.outer;
                        self.unknown.extend(level.unknown.map(|start| start..self.position));
                    }
                }
                ITEM => {
                    let length = self.u32()?;
                    self.enter(&mut levels, tag, length, self.encoding)?;
                }
                _ => self.element(&mut levels, tag)?,
            }
        }
    }

    fn element(&mut self, levels: &mut Vec<Level>, tag: Tag) -> Result<(), Fault> {
        let start = self.position - 4;
        let (vr, length) = self.vr_and_length(tag)?;
        match (vr, length) {
            (VR::SQ, length) => self.enter(levels, tag, length, self.encoding),
            // Pixel data in fragments, which are items without elements.
            (VR::OB | VR::OW, UNDEFINED) => self.fragments(),
            (_, UNDEFINED) => {
                let is_unknown =
                    !self.encoding.is_implicit && levels.iter().all(|level| level.unknown.is_none());
                let inner = if self.items_are_explicit()? { self.encoding } else { Encoding::IMPLICIT };
                self.enter(levels, tag, length, inner)?;
                levels.last_mut().expect("it has begun").unknown = is_unknown.then_some(start);
                Ok(())
            }
            (vr, length) => {
                self.ensure_fits(tag, length)?;
                if tag == PIXEL_DATA && levels.is_empty() {
                    let is_big_endian = self.encoding.is_big_endian;
                    let (offset, length) = (self.position, u64::from(length));
                    self.pixels = Some(NativePixels { offset, length, is_big_endian });
                } else if !length.is_multiple_of(bytes_of_number(vr)) {
                    // The parser would leave the rest of the last number and go on in its middle.
                    return Err(format!(
                        "element {tag} has {length} bytes, no whole number of its {vr} values"
                    ));
                }
                self.skip(i64::from(length))
            }
        }
    }

    /// Whether the first element of the item that follows has a value representation, as some programs write them.
    fn items_are_explicit(&mut self) -> Result<bool, Fault> {
        /// Tag and length of the item, tag and value representation of its element.
        const LENGTH: u64 = 8 + 4 + 2;
        if self.encoding.is_implicit || self.length - self.position < LENGTH {
            return Ok(false);
        }
        let mut head = [0; LENGTH as usize];
        self.read(&mut head)?;
        self.skip(-(LENGTH as i64))?;
        Ok(VR::from_binary([head[12], head[13]]).is_some())
    }

    fn fragments(&mut self) -> Result<(), Fault> {
        while self.position < self.length {
            let tag = self.tag()?;
            let length = self.u32()?;
            if tag == SEQUENCE_END {
                return Ok(());
            }
            self.ensure_fits(tag, length)?;
            self.skip(i64::from(length))?;
        }
        Err("the file ends within its pixel data".to_owned())
    }

    fn enter(
        &mut self,
        levels: &mut Vec<Level>,
        tag: Tag,
        length: u32,
        inner: Encoding,
    ) -> Result<(), Fault> {
        if levels.len() >= 2 * MAX_NESTING {
            return Err(format!("sequences are nested more than {MAX_NESTING} deep"));
        }
        let end = if length == UNDEFINED {
            None
        } else {
            self.ensure_fits(tag, length)?;
            Some(self.position + u64::from(length))
        };
        levels.push(Level { end, outer: self.encoding, unknown: None });
        self.encoding = inner;
        Ok(())
    }

    fn ensure_fits(&self, tag: Tag, length: u32) -> Result<(), Fault> {
        let left = self.length.saturating_sub(self.position);
        if u64::from(length) <= left {
            return Ok(());
        }
        Err(format!("truncated: element {tag} states {length} bytes, and {left} are left"))
    }

    fn tag(&mut self) -> Result<Tag, Fault> {
        let [group, element] = [self.u16()?, self.u16()?];
        Ok(Tag(group, element))
    }

    fn vr_and_length(&mut self, tag: Tag) -> Result<(VR, u32), Fault> {
        if self.encoding.is_implicit {
            let entry = StandardDataDictionary.by_tag(tag);
            let vr = entry.map_or(VR::UN, |entry| entry.vr().relaxed());
            return Ok((vr, self.u32()?));
        }
        let mut code = [0; 2];
        self.read(&mut code)?;
        let vr = VR::from_binary(code).ok_or_else(|| format!("element {tag} has no value representation"))?;
        let is_long = matches!(
            vr,
            VR::OB
                | VR::OD
                | VR::OF
                | VR::OL
                | VR::OV
                | VR::OW
                | VR::SQ
                | VR::SV
                | VR::UC
                | VR::UN
                | VR::UR
                | VR::UT
                | VR::UV
        );
        if is_long {
            self.u16()?;
            return Ok((vr, self.u32()?));
        }
        Ok((vr, u32::from(self.u16()?)))
    }

    fn u16(&mut self) -> Result<u16, Fault> {
        let mut bytes = [0; 2];
        self.read(&mut bytes)?;
        Ok(if self.encoding.is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        let mut bytes = [0; 4];
        self.read(&mut bytes)?;
        Ok(if self.encoding.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), Fault> {
        self.reader.read_exact(bytes).map_err(|_| "truncated: the file ends within an element".to_owned())?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn skip(&mut self, bytes: i64) -> Result<(), Fault> {
        self.reader.seek_relative(bytes).map_err(|error| error.to_string())?;
        self.position = self.position.wrapping_add_signed(bytes);
        Ok(())
    }
}
