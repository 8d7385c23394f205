use embedded_graphics::{
    Pixel,
    draw_target::DrawTarget,
    geometry::{Dimensions, Point, Size},
    pixelcolor::Rgb888,
    primitives::{PointsIter, Rectangle},
};

use super::*;

/// A file in the place of the device, which answers nothing, and what `/sys` says of it. Its memory holds two pictures.
fn framebuffer(bits: &str, size: &str, stride: &str) -> (tempfile::TempDir, Result<Framebuffer, SinkError>) {
    let folder = tempfile::tempdir().unwrap();
    let (width, height) = size.split_once(',').unwrap_or((size, "0"));
    let memory = format!("{width},{}", 2 * height.parse::<u32>().unwrap());
    let modes = format!("U:{width}x{height}p-60\nU:640x400p-0");
    for (name, text) in
        [("bits_per_pixel", bits), ("virtual_size", &memory), ("stride", stride), ("mode", ""), ("modes", &modes)]
    {
        std::fs::write(folder.path().join(name), format!("{text}\n")).unwrap();
    }
    std::fs::write(folder.path().join("fb0"), "").unwrap();
    let opened = Framebuffer::open_with(&folder.path().join("fb0"), folder.path());
    (folder, opened)
}

/// Black, with red at (0, 0) and a blue-green at (479, 319).
fn frame() -> Frame {
    let mut frame = Frame::new(480, 320, Rgb888::new(0, 0, 0));
    frame.fill(Rectangle::new(Point::zero(), Size::new_equal(1)), 0, Rgb888::new(255, 0, 0));
    frame.fill(Rectangle::new(Point::new(479, 319), Size::new_equal(1)), 0, Rgb888::new(0, 0x84, 0xff));
    frame
}

#[test]
fn pixels_arrive_in_both_formats_at_their_places() {
    let (folder, opened) = framebuffer("32", "480,320", "2048");
    opened.unwrap().write(&frame()).unwrap();
    let bytes = std::fs::read(folder.path().join("fb0")).unwrap();
    let last = 319 * 2048 + 479 * 4;
    assert_eq!(bytes.len(), last + 4);
    assert_eq!(bytes[..8], [0, 0, 255, 255, 0, 0, 0, 255]);
    assert_eq!(bytes[last..], [0xff, 0x84, 0, 0xff]);
    assert_eq!(bytes[480 * 4..2048], [0; 128], "what is not seen");

    let (folder, opened) = framebuffer("16", "480,320", "960");
    opened.unwrap().write(&frame()).unwrap();
    let bytes = std::fs::read(folder.path().join("fb0")).unwrap();
    assert_eq!(bytes.len(), 960 * 320);
    assert_eq!(bytes[..4], [0x00, 0xf8, 0, 0]);
    assert_eq!(bytes[960 * 320 - 2..], (0x21_u16 << 5 | 0x1f).to_le_bytes());
}

#[test]
fn the_picture_lies_on_what_is_seen_of_the_memory() {
    let (folder, opened) = framebuffer("24", "800,480", "2400");
    assert_eq!(opened.unwrap().size().to_string(), "800x480", "not the 800x960 of the memory");
    let path = folder.path().join("fb0");
    std::fs::write(&path, vec![7; 2400 * 960]).unwrap();
    // The second of its pictures is seen.
    std::fs::write(folder.path().join("pan"), "0,480\n").unwrap();
    let opened = Framebuffer::open_with(&path, folder.path()).unwrap();
    opened.write(&Frame::new(800, 480, Rgb888::new(1, 2, 3))).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes[..2400 * 480].iter().all(|&byte| byte == 7));
    assert!(bytes[2400 * 480..].chunks(3).all(|pixel| pixel == [3, 2, 1]));
    // A mode that was set goes before the first that there is.
    std::fs::write(folder.path().join("mode"), "U:640x480p-0\n").unwrap();
    std::fs::write(folder.path().join("pan"), "100,0\n").unwrap();
    let opened = Framebuffer::open_with(&path, folder.path()).unwrap();
    assert_eq!(opened.size().to_string(), "640x480");
    opened.write(&Frame::new(640, 480, Rgb888::new(9, 9, 9))).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert!(
        bytes[..300].iter().chain(&bytes[2400 * 480..]).all(|&byte| [7, 3, 2, 1].contains(&byte)),
        "others' memory"
    );
    let row = &bytes[2400 * 10..2400 * 11];
    assert!(row[..300].iter().chain(&row[300 + 1920..]).all(|&byte| byte == 0), "what lies between is black");
    assert!(row[300..300 + 1920].iter().all(|&byte| byte == 9));
    std::fs::remove_file(folder.path().join("mode")).unwrap();
    std::fs::remove_file(folder.path().join("modes")).unwrap();
    let error = Framebuffer::open_with(&path, folder.path()).unwrap_err();
    assert!(matches!(error, SinkError::Geometry { .. }), "{error}");
}

#[test]
fn a_turned_panel_is_written_turned() {
    // Where the red of the upper left corner and the blue-green of the lower right one end up.
    for (rotation, size, [red, blue]) in [
        (Rotation::None, "480,320", [(0, 0), (479, 319)]),
        (Rotation::Right, "320,480", [(319, 0), (0, 479)]),
        (Rotation::Half, "480,320", [(479, 319), (0, 0)]),
        (Rotation::Left, "320,480", [(0, 479), (319, 0)]),
    ] {
        let (folder, opened) = framebuffer("32", size, "2000");
        let opened = opened.unwrap().turned(rotation);
        assert_eq!(opened.size().to_string(), "480x320");
        opened.write(&frame()).unwrap();
        let bytes = std::fs::read(folder.path().join("fb0")).unwrap();
        let pixel = |(x, y): (usize, usize)| &bytes[2000 * y + 4 * x..][..4];
        assert_eq!(pixel(red), [0, 0, 255, 255], "{rotation}");
        assert_eq!(pixel(blue), [255, 0x84, 0, 255], "{rotation}");
        assert_eq!(bytes.iter().filter(|&&byte| byte == 0x84).count(), 1);
    }
}

#[test]
fn a_panel_larger_than_a_picture_may_be_is_filled_with_squares() {
    for (panel, picture, scale) in [
        ([1920, 1080], "1920x1080", 1),
        ([1920, 1200], "960x600", 2),
        ([1200, 1920], "600x960", 2),
        ([2560, 1440], "1280x720", 2),
        ([3840, 2160], "1920x1080", 2),
        ([4096, 2160], "1365x720", 3),
        ([2160, 3840], "1080x1920", 2),
    ] {
        let fitted = Panel::new(panel[0], panel[1]).unwrap();
        assert_eq!((fitted.picture.to_string().as_str(), fitted.scale), (picture, scale), "{panel:?}");
    }
    let mut frame = Frame::new(1365, 720, Rgb888::new(1, 2, 3));
    frame.fill(Rectangle::new(Point::zero(), Size::new_equal(1)), 0, Rgb888::new(255, 0, 0));
    let (folder, opened) = framebuffer("32", "4097,2160", "16400");
    opened.unwrap().write(&frame).unwrap();
    let bytes = std::fs::read(folder.path().join("fb0")).unwrap();
    assert_eq!(bytes.len(), 16400 * 2159 + 4 * 4097);
    let at = |x: usize, y: usize| &bytes[16400 * y + 4 * x..][..4];
    let (red, grey, black) = (&[0, 0, 255, 255][..], &[3, 2, 1, 255][..], &[0; 4][..]);
    assert_eq!([at(0, 0), at(1, 0), at(3, 2), at(4, 2), at(1, 3)], [black, red, red, grey, grey]);
    assert_eq!([at(4095, 2159), at(4096, 2159)], [grey, black]);
}

#[test]
fn each_pixel_of_a_panel_is_that_of_the_picture() {
    let noise = |x: i32, y: i32| [(7 * x + y) as u8, (x ^ y) as u8, (x + 5 * y) as u8];
    // Sides that are odd, squares of one, two and three pixels, the last with black around them.
    for (bits, [width, height], scale) in [
        (16, [481, 323], 1),
        (24, [481, 323], 1),
        (32, [481, 323], 1),
        (16, [1925, 643], 2),
        (24, [3845, 965], 3),
        (32, [1925, 643], 2),
    ] {
        let bytes = bits / 8;
        let stride = width * bytes + 6;
        for rotation in [Rotation::None, Rotation::Right, Rotation::Half, Rotation::Left] {
            let (folder, opened) = framebuffer(&bits.to_string(), &format!("{width},{height}"), &stride.to_string());
            let opened = opened.unwrap().turned(rotation);
            let (panel, size) = (opened.panel, opened.size());
            assert_eq!(panel.scale, scale);
            let mut frame = Frame::new(size.width, size.height, Rgb888::new(0, 0, 0));
            let pixels = frame.bounding_box().points().map(|point| {
                let [red, green, blue] = noise(point.x, point.y);
                Pixel(point, Rgb888::new(red, green, blue))
            });
            let Ok(()) = frame.draw_iter(pixels);
            opened.write(&frame).unwrap();
            let written = std::fs::read(folder.path().join("fb0")).unwrap();
            assert_eq!(written.len(), stride * (height - 1) + width * bytes);
            let within = |place: usize, of_panel: u32, of_picture: u32| {
                let place = place.checked_sub(panel.margin(of_panel, of_picture) as usize)?;
                Some((place / scale as usize) as u32).filter(|place| *place < of_picture)
            };
            for (y, line) in written.chunks(stride).enumerate() {
                let (seen, between) = line.split_at(width * bytes);
                assert!(between.iter().all(|&byte| byte == 0));
                for (x, pixel) in seen.chunks(bytes).enumerate() {
                    let x_within = within(x, panel.width, panel.picture.width);
                    let place = x_within.zip(within(y, panel.height, panel.picture.height));
                    let value = place.map_or(0, |(x, y)| {
                        let (x, y) = rotation::source(rotation, [x, y], panel.picture);
                        let [red, green, blue] = noise(x as i32, y as i32).map(u32::from);
                        match bits {
                            16 => (red >> 3) << 11 | (green >> 2) << 5 | blue >> 3,
                            _ => 0xff << 24 | red << 16 | green << 8 | blue,
                        }
                    });
                    assert_eq!(pixel, &value.to_le_bytes()[..bytes], "{bits} bits, {rotation}: {x}, {y}");
                }
            }
        }
    }
}

#[test]
fn framebuffers_that_cannot_be_used_are_told_apart() {
    assert!(matches!(framebuffer("8", "480,320", "1440").1, Err(SinkError::Depth(8))));
    assert!(matches!(framebuffer("32", "240,240", "960").1, Err(SinkError::Size { width: 240, .. })));
    assert!(matches!(framebuffer("32", "480,320", "1000").1, Err(SinkError::Geometry { .. })));
    assert!(matches!(framebuffer("32", "wide", "1000").1, Err(SinkError::Geometry { .. })));
}

#[test]
fn the_png_file_holds_the_frame() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Folder::create(&folder.path().join("new")).unwrap();
    sink.write(&png(&frame()).unwrap()).unwrap();
    let read = image::open(sink.file()).unwrap().into_rgb8();
    assert_eq!((read.width(), read.height()), (480, 320));
    assert!(read.as_raw() == frame().rgb());
}
