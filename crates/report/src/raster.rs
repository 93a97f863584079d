//! RGB images and their encoding as PNG.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ndarray::Array2;

use crate::Result;

/// An RGB image, `[row, column]`.
pub(crate) type RgbImage = Array2<[u8; 3]>;

/// Encodes an image as an 8-bit RGB PNG.
pub(crate) fn encode_png(image: &RgbImage) -> Result<Vec<u8>> {
    let (height, width) = image.dim();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    let channels: Vec<u8> = image.iter().flatten().copied().collect();
    writer.write_image_data(&channels)?;
    writer.finish()?;
    Ok(bytes)
}

/// The image as a `data:` URI.
pub(crate) fn png_data_uri(image: &RgbImage) -> Result<String> {
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(encode_png(image)?)))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn a_png_decodes_to_the_image() {
        let image = Array2::from_shape_fn((3, 5), |(row, column)| [row as u8, column as u8, 200]);
        let mut reader = png::Decoder::new(Cursor::new(encode_png(&image).unwrap())).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height, info.color_type), (5, 3, png::ColorType::Rgb));
        assert_eq!(pixels, image.iter().flatten().copied().collect::<Vec<u8>>());
    }
}
