//! Decodes files and writes their pixels, for programs that compare them: `tests/dicom`.
//!
//! `pixels FOLDER FILE …` writes `FOLDER/0.raw`, `FOLDER/1.raw`, … (samples of 16 bits in little endian, those of a pixel one
//! after the other) and prints for each file its width, height, samples of a pixel and bits, or the word of the refusal.

#![allow(clippy::unwrap_used, reason = "a program for tests")]

use std::{env, fs, path::Path};

use image::DynamicImage;

fn main() {
    let mut arguments = env::args_os().skip(1);
    let folder = arguments.next().unwrap();
    for (number, file) in arguments.enumerate() {
        let radiograph = match decode::decode(&fs::read(file).unwrap()) {
            Ok(radiograph) => radiograph,
            Err(refusal) => {
                println!("{}", refusal.as_str());
                continue;
            }
        };
        let image = radiograph.image();
        let (bits, samples): (_, Vec<u16>) = match image {
            DynamicImage::ImageLuma16(image) => (16, image.to_vec()),
            DynamicImage::ImageRgb16(image) => (16, image.to_vec()),
            image => (8, image.as_bytes().iter().map(|&sample| sample.into()).collect()),
        };
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        fs::write(Path::new(&folder).join(format!("{number}.raw")), bytes).unwrap();
        println!("{} {} {} {bits}", image.width(), image.height(), image.color().channel_count());
    }
}
