//! Photos, with real faces and the real models.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use classveil::{
    people::{
        Draft, ListProblems,
        face::Enroller,
        list::{self, Finished},
    },
    vision::{
        detect::Detector,
        identify::{Embedder, Embedding},
    },
};
use image::{
    DynamicImage, ImageEncoder, ImageFormat, RgbImage, codecs::jpeg::JpegEncoder, imageops,
};

use super::{Folder, KEY, TODAY, rules, texts};
use crate::support::{models, photo, sample};

type Pair = (Detector, Embedder);

/// Opened once: opening takes longer than most tests.
static MODELS: LazyLock<Mutex<Pair>> = LazyLock::new(|| {
    let models = models();
    Mutex::new((Detector::new(&models, 1).unwrap(), Embedder::new(&models, 1).unwrap()))
});

pub(super) fn pair() -> MutexGuard<'static, Pair> {
    MODELS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The list of `rows` with its embeddings.
pub(super) fn enrol(folder: &Folder, rows: &str) -> Result<Finished, ListProblems> {
    let path = folder.write("list.csv", format!("pupil_id,class,status,since,photos\n{rows}"));
    let mut draft = Draft::open(&path, rules()).unwrap();
    let (detector, embedder) = &mut *pair();
    draft.enrol(&mut Enroller { detector, embedder })?;
    draft.finish()
}

fn one(folder: &Folder, photo: &str) -> Result<Embedding, Vec<String>> {
    let finished = enrol(folder, &format!("p-01,a,refused,2026-09-01,{photo}\n"));
    let finished = finished.map_err(|e| texts(&e))?;
    Ok(finished.gallery.people.into_values().next().unwrap().references.remove(0))
}

fn picture(name: &str) -> RgbImage {
    image::open(sample(name)).unwrap().to_rgb8()
}

fn save(folder: &Folder, name: &str, picture: &RgbImage) {
    picture.save(folder.path(name)).unwrap();
}

/// A TIFF block with one orientation and one day.
fn exif(orientation: u8, day: &str) -> Vec<u8> {
    let mut b = b"II*\0\x08\0\0\0\x02\0".to_vec();
    b.extend([0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0]);
    b.extend([0x69, 0x87, 4, 0, 1, 0, 0, 0, 38, 0, 0, 0]);
    b.extend([0, 0, 0, 0, 1, 0, 0x03, 0x90, 2, 0, 20, 0, 0, 0, 56, 0, 0, 0, 0, 0, 0, 0]);
    b.extend(day.as_bytes());
    b.push(0);
    b
}

fn jpeg_with_exif(picture: &RgbImage, orientation: u8, day: &str) -> Vec<u8> {
    let mut bytes = vec![];
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 92);
    encoder.set_exif_metadata(exif(orientation, day)).unwrap();
    encoder.encode_image(picture).unwrap();
    bytes
}

#[test]
fn a_portrait_is_enrolled_from_every_kind_of_file() {
    let folder = Folder::new();
    let portrait = picture("obama.jpg");
    fs::copy(sample("obama.jpg"), folder.path("portrait.jpg")).unwrap();
    let original = one(&folder, "portrait.jpg").unwrap();
    save(&folder, "portrait.png", &portrait);
    save(&folder, "portrait.webp", &portrait);
    let grey = DynamicImage::ImageRgb8(portrait.clone()).to_luma8();
    grey.save(folder.path("grey.png")).unwrap();
    DynamicImage::ImageRgb8(portrait.clone()).to_rgba16().save(folder.path("deep.png")).unwrap();
    for name in ["portrait.png", "portrait.webp", "grey.png", "deep.png"] {
        let cosine = one(&folder, name).unwrap().cosine(&original);
        assert!(cosine > 0.85, "{name}: {cosine}");
    }
}

#[test]
fn a_turned_photo_is_put_upright() {
    let folder = Folder::new();
    let portrait = picture("obama.jpg");
    fs::copy(sample("obama.jpg"), folder.path("portrait.jpg")).unwrap();
    let original = one(&folder, "portrait.jpg").unwrap();
    let turned = [
        (3, imageops::rotate180(&portrait)),
        (6, imageops::rotate270(&portrait)),
        (8, imageops::rotate90(&portrait)),
    ];
    for (orientation, lying) in turned {
        folder.write("turned.jpg", jpeg_with_exif(&lying, orientation, "2026:01:02 03:04:05"));
        let cosine = one(&folder, "turned.jpg").unwrap().cosine(&original);
        assert!(cosine > 0.85, "orientation {orientation}: {cosine}");
    }
}

#[test]
fn a_photo_on_its_side_without_a_tag_is_turned_and_told() {
    let folder = Folder::new();
    let portrait = picture("obama.jpg");
    fs::copy(sample("obama.jpg"), folder.path("portrait.jpg")).unwrap();
    let original = one(&folder, "portrait.jpg").unwrap();
    let lying = [
        (270, imageops::rotate90(&portrait)),
        (180, imageops::rotate180(&portrait)),
        (90, imageops::rotate270(&portrait)),
    ];
    for (degrees, lying) in lying {
        save(&folder, "lying.png", &lying);
        let mut finished = enrol(&folder, "p-01,a,refused,2026-09-01,lying.png\n").unwrap();
        let told: Vec<_> =
            finished.notices.iter().map(|n| format!("{}: {}", n.at, n.remark)).collect();
        let turned = format!(
            "2:27: photo `lying.png` was turned by {degrees} degrees to the right: check that it is \
             upright"
        );
        assert!(told.contains(&turned), "{told:?}");
        let (_, person) = finished.gallery.people.pop_first().unwrap();
        let cosine = person.references[0].cosine(&original);
        assert!(cosine > 0.85, "{degrees}: {cosine}");
    }
}

/// Each of these was taken as a reference once; it resembled nobody, so the pupil it stood for was
/// told apart from himself and shown.
#[test]
fn a_photo_that_resembles_nobody_is_refused() {
    let folder = Folder::new();
    let portrait = picture("obama.jpg");
    let altered = |alter: &dyn Fn(f32) -> f32| {
        let mut picture = portrait.clone();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        for value in picture.iter_mut() {
            *value = alter(f32::from(*value)).clamp(0.0, 255.0) as u8;
        }
        picture
    };
    let blurred = |sigma| imageops::blur(&portrait, sigma);
    let faint = "is too blurred, dark or covered to be compared";
    let bad = [
        ("blurred", blurred(16.0), faint),
        ("strongly-blurred", blurred(25.0), ""),
        ("dark", altered(&|v| v * 0.02), ""),
        ("low-contrast", altered(&|v| 128.0 + (v - 128.0) * 0.03), ""),
        ("negative", altered(&|v| 255.0 - v), "is a colour negative"),
    ];
    for (name, picture, why) in bad {
        save(&folder, &format!("{name}.png"), &picture);
        let problems = one(&folder, &format!("{name}.png")).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("2:27: "), "{problems:?}");
        assert!(problems[0].contains(why), "{name}: {problems:?}");
    }
}

#[test]
fn a_photo_of_several_people_is_refused() {
    let folder = Folder::new();
    for (name, count) in [("thai_people.jpg", 4), ("multi_face.jpg", 5)] {
        fs::copy(sample(name), folder.path(name)).unwrap();
        let problems = one(&folder, name).unwrap_err();
        let text = format!("2:27: photo `{name}` shows {count} equal faces: crop it to one");
        assert_eq!(problems, [text]);
    }
}

#[test]
fn a_tight_crop_is_enrolled() {
    let folder = Folder::new();
    let group = picture("multi_face.jpg");
    let image = photo(&sample("multi_face.jpg"));
    let (faces, wanted): (Vec<_>, Vec<_>) = {
        let (detector, embedder) = &mut *pair();
        let faces = detector.detect_image(&image, 1280).unwrap();
        let faces = faces.into_iter().filter(|f| f.score > 0.6).collect::<Vec<_>>();
        let wanted =
            faces.iter().map(|f| embedder.embed_image(&image, &f.landmarks).unwrap().unwrap());
        let wanted = wanted.map(|described| described.embedding).collect();
        (faces, wanted)
    };
    assert_eq!(faces.len(), 5);
    let mut enrolled = 0;
    for (i, (face, wanted)) in faces.iter().zip(&wanted).enumerate() {
        let r = face.rect;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "inside the picture"
        )]
        let crop =
            imageops::crop_imm(&group, r.x as u32, r.y as u32, r.w as u32, r.h as u32).to_image();
        // As it is, and as large as a phone would save it.
        let large = imageops::resize(
            &crop,
            crop.width() * 12,
            crop.height() * 12,
            imageops::FilterType::Triangle,
        );
        for (kind, picture) in [("tight", &crop), ("large", &large)] {
            let name = format!("{kind}-{i}.png");
            save(&folder, &name, picture);
            match one(&folder, &name) {
                Ok(reference) => {
                    let (cosine, size) = (reference.cosine(wanted), picture.dimensions());
                    assert!(cosine > 0.6, "{name} ({size:?}): {cosine}");
                    enrolled += 1;
                }
                // One of the five is none too sharp; cut out and enlarged it may be too faint.
                Err(problems) => assert!(problems[0].contains("is too blurred"), "{problems:?}"),
            }
        }
    }
    assert!(enrolled >= 8, "{enrolled} of 10");
}

#[test]
fn a_portrait_of_forty_megapixels_is_enrolled() {
    let folder = Folder::new();
    let portrait = picture("obama.jpg");
    fs::copy(sample("obama.jpg"), folder.path("portrait.jpg")).unwrap();
    let original = one(&folder, "portrait.jpg").unwrap();
    let by = 6000 / portrait.width().max(portrait.height());
    let large = imageops::resize(
        &portrait,
        portrait.width() * by,
        portrait.height() * by,
        imageops::FilterType::Nearest,
    );
    large.save(folder.path("large.jpg")).unwrap();
    let cosine = one(&folder, "large.jpg").unwrap().cosine(&original);
    assert!(cosine > 0.85, "{cosine}");
}

#[test]
fn a_photo_without_a_face_is_refused() {
    let folder = Folder::new();
    // Sky, hills, a field with furrows.
    let landscape = RgbImage::from_fn(800, 500, |x, y| {
        let hill = 200 + (x * 7 % 300) / 6;
        if y < hill {
            image::Rgb([120, 160, 210])
        } else if (x + 2 * y) % 23 < 9 {
            image::Rgb([70, 120, 50])
        } else {
            image::Rgb([100, 140, 70])
        }
    });
    save(&folder, "landscape.jpg", &landscape);
    let problems = one(&folder, "landscape.jpg").unwrap_err();
    assert_eq!(problems, ["2:27: photo `landscape.jpg` shows no face that can be used"]);
    let portrait = picture("obama.jpg");
    let small = imageops::thumbnail(&portrait, portrait.width() / 12, portrait.height() / 12);
    let mut far = landscape;
    imageops::overlay(&mut far, &small, 400, 250);
    save(&folder, "far.png", &far);
    let problems = one(&folder, "far.png").unwrap_err();
    assert!(problems[0].contains("pixels wide, 40 are needed"), "{problems:?}");
}

#[test]
fn every_photo_problem_of_a_list_is_told() {
    let folder = Folder::new();
    fs::copy(sample("thai_people.jpg"), folder.path("four.jpg")).unwrap();
    fs::copy(sample("obama.jpg"), folder.path("one.jpg")).unwrap();
    save(&folder, "grey.png", &RgbImage::from_pixel(300, 300, image::Rgb([90, 90, 90])));
    let rows = "p-01,a,refused,2026-09-01,four.jpg\n\
        p-02,a,maybe,2026-09-01,grey.png\n\
        p-03,a,consented,2026-09-01,one.jpg|none.jpg\n";
    let problems = texts(&enrol(&folder, rows).unwrap_err());
    assert_eq!(
        problems,
        [
            "2:27: photo `four.jpg` shows 4 equal faces: crop it to one",
            "3:8: status is none of refused, consented, staff",
            "3:25: photo `grey.png` shows no face that can be used",
            "4:37: photo `none.jpg` does not exist",
        ]
    );
}

#[test]
fn a_mix_up_of_photos_is_remarked_on() {
    let folder = Folder::new();
    let portrait = picture("obama.jpg");
    save(&folder, "a.png", &portrait);
    save(&folder, "b.png", &imageops::flip_horizontal(&portrait));
    let rows = "p-01,a,refused,2026-09-01,a.png\np-02,a,consented,2026-09-01,b.png\n";
    let notices: Vec<_> =
        enrol(&folder, rows).unwrap().notices.iter().map(|n| n.remark.to_string()).collect();
    assert!(notices.iter().any(|n| n.contains("resembles one on line 2")), "{notices:?}");
}

#[test]
fn old_and_lone_photos_are_warned_of() {
    let folder = Folder::new();
    let portrait = picture("obama.jpg");
    folder.write("old.jpg", jpeg_with_exif(&portrait, 1, "2024:05:06 07:08:09"));
    let smaller = imageops::thumbnail(&portrait, portrait.width() / 2, portrait.height() / 2);
    folder.write("new.jpg", jpeg_with_exif(&smaller, 1, "2026:10:01 07:08:09"));
    let notices = |photos: &str| {
        let rows =
            format!("pupil_id,class,status,since,photos\np-01,a,refused,2026-09-01,{photos}\n");
        let path = folder.write("list.csv", rows);
        let (list, notices) = list::read(&path, TODAY).unwrap();
        assert!(list.has_photos());
        let text = |n: &classveil::people::Notice| format!("{} {}", n.at, n.remark);
        notices.iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(notices("new.jpg").len(), 1);
    assert!(notices("new.jpg")[0].starts_with("2:27 a single photo"));
    let both = notices("new.jpg|old.jpg");
    assert_eq!(both.len(), 1);
    assert!(both[0].starts_with("2:35 photo `old.jpg` is 928 days old"), "{both:?}");
    // Without EXIF the file's own date says how old a photo is at least.
    save(&folder, "plain.png", &portrait);
    let long_ago =
        std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
    fs::File::options()
        .write(true)
        .open(folder.path("plain.png"))
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
    assert!(notices("plain.png|new.jpg").iter().any(|n| n.contains("photo `plain.png`")));
}

fn problem(folder: &Folder, photo: &str) -> String {
    let problems = folder.read(&format!("p-01,a,refused,2026-09-01,{photo},,,\n")).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].strip_prefix("2:27: ").expect("the photo's place").to_owned()
}

#[test]
fn a_photo_outside_the_folder_is_not_read() {
    let outside = Folder::new();
    fs::copy(sample("obama.jpg"), outside.path("one.jpg")).unwrap();
    let folder = Folder::new();
    symlink(outside.path("one.jpg"), folder.path("link.jpg")).unwrap();
    symlink(outside.0.path(), folder.path("door")).unwrap();
    fs::create_dir(folder.path("photos")).unwrap();
    fs::copy(sample("obama.jpg"), folder.path("photos/one.jpg")).unwrap();
    symlink("photos/one.jpg", folder.path("inside.jpg")).unwrap();
    assert!(folder.read("p-01,a,refused,2026-09-01,inside.jpg,,,\n").is_ok());
    assert_eq!(problem(&folder, "link.jpg"), "photo `link.jpg` leads outside the list's folder");
    assert!(problem(&folder, "door/one.jpg").contains("leads outside"));
    let absolute = outside.path("one.jpg").display().to_string();
    for bad in ["../one.jpg", "photos/../photos/one.jpg", &absolute] {
        assert!(problem(&folder, bad).contains("is not a path relative to the list"), "{bad}");
    }
    assert!(problem(&folder, "photos\\one.jpg").contains("has a backslash"));
    assert_eq!(problem(&folder, "photos"), "photo `photos` is no ordinary file");
    assert_eq!(problem(&folder, "none.jpg"), "photo `none.jpg` does not exist");
    assert_eq!(problem(&folder, "list.csv/x.jpg"), "photo `list.csv/x.jpg` does not exist");
    assert!(problem(&folder, "list.csv").contains("is no JPEG, PNG or WebP"));
}

/// One part of a PNG file, with its checksum.
fn png_chunk(kind: &[u8], data: &[u8]) -> Vec<u8> {
    let body = [kind, data].concat();
    let crc = body.iter().fold(!0u32, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
        crc
    });
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    [&length[..], &body, &(!crc).to_be_bytes()].concat()
}

/// A small PNG file that promises `width` by `height` pixels.
fn promising_png(width: u32, height: u32) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let chunks = [png_chunk(b"IHDR", &header), png_chunk(b"IDAT", &[0x78, 0x9C])];
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunks.concat(), png_chunk(b"IEND", &[])].concat()
}

#[test]
fn a_damaged_photo_is_not_enrolled() {
    let folder = Folder::new();
    let jpeg = fs::read(sample("obama.jpg")).unwrap();
    folder.write("cut.jpg", &jpeg[..jpeg.len() / 2]);
    let portrait = picture("obama.jpg");
    save(&folder, "whole.png", &portrait);
    save(&folder, "whole.webp", &portrait);
    for kind in ["png", "webp"] {
        let bytes = fs::read(folder.path(&format!("whole.{kind}"))).unwrap();
        folder.write(&format!("cut.{kind}"), &bytes[..bytes.len() / 2]);
    }
    let with_thumbnail = {
        // An end marker inside EXIF is not the photo's own.
        let mut bytes = jpeg_with_exif(&portrait, 1, "2026:01:02 03:04:05");
        bytes.splice(2..2, [0xFF, 0xE1, 0, 6, 0xFF, 0xD8, 0xFF, 0xD9]);
        bytes
    };
    folder.write("thumbnail.jpg", &with_thumbnail);
    assert!(folder.read("p-01,a,refused,2026-09-01,thumbnail.jpg,,,\n").is_ok());
    folder.write("cut-thumbnail.jpg", &with_thumbnail[..with_thumbnail.len() / 2]);
    for name in ["cut.jpg", "cut.png", "cut.webp", "cut-thumbnail.jpg"] {
        assert_eq!(problem(&folder, name), format!("photo `{name}` is damaged or cut off"));
    }
    folder.write("bomb.png", promising_png(60_000, 60_000));
    assert!(problem(&folder, "bomb.png").contains("larger than 50 megapixels"));
    folder.write("phone.jpg", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic");
    assert!(problem(&folder, "phone.jpg").contains("is HEIC: export it as JPEG"));
    folder.write("drawing.jpg", b"GIF89a\x01\0\x01\0\0\0\0");
    assert!(problem(&folder, "drawing.jpg").contains("is no JPEG, PNG or WebP"));
    folder.write("empty.jpg", b"");
    assert!(problem(&folder, "empty.jpg").contains("is no JPEG, PNG or WebP"));
    let heavy = fs::File::create(folder.path("heavy.jpg")).unwrap();
    heavy.set_len((64 << 20) + 1).unwrap();
    assert!(problem(&folder, "heavy.jpg").contains("larger than 64 MiB"));
}

#[test]
fn the_same_photo_cannot_be_two_people() {
    let folder = Folder::new();
    for name in ["a.jpg", "b.jpg"] {
        fs::copy(sample("obama.jpg"), folder.path(name)).unwrap();
    }
    let rows = "p-01,a,refused,2026-09-01,a.jpg,,,\np-02,a,consented,2026-09-01,b.jpg,,,\n";
    let problems = folder.read(rows).unwrap_err();
    assert_eq!(problems, ["3:29: photo `b.jpg` is the same picture as on line 2"]);
}

#[test]
fn photos_count_by_content() {
    let folder = Folder::new();
    fs::copy(sample("obama.jpg"), folder.path("a.jpg")).unwrap();
    fs::copy(sample("obama.jpg"), folder.path("b.jpg")).unwrap();
    save(&folder, "c.png", &picture("obama.jpg"));
    let version = |photos: &str| {
        let list = folder.read(&format!("p-01,a,refused,2026-09-01,{photos},,,\n")).unwrap();
        list.version(&KEY)
    };
    assert_eq!(version("a.jpg"), version("b.jpg"));
    assert_eq!(version("a.jpg|c.png"), version("c.png | b.jpg"));
    assert_ne!(version("a.jpg"), version("c.png"));
    assert_ne!(version("a.jpg"), version(""));
}

#[test]
fn a_photo_that_changes_meanwhile_is_not_enrolled() {
    let folder = Folder::new();
    fs::copy(sample("obama.jpg"), folder.path("a.jpg")).unwrap();
    let list = folder.read("p-01,a,refused,2026-09-01,a.jpg,,,\n").unwrap();
    save(&folder, "a.png", &picture("obama.jpg"));
    fs::rename(folder.path("a.png"), folder.path("a.jpg")).unwrap();
    let (detector, embedder) = &mut *pair();
    let problems = list.gallery(&mut Enroller { detector, embedder }).unwrap_err();
    assert_eq!(texts(&problems), ["2:27: photo `a.jpg` changed while it was read: try again"]);
    assert!(Path::new(&folder.path("a.jpg")).exists());
}

#[test]
fn pixels_without_a_file_are_a_format_error() {
    // The header of each kind, and nothing behind it.
    let folder = Folder::new();
    for (name, format) in
        [("a.jpg", ImageFormat::Jpeg), ("a.png", ImageFormat::Png), ("a.webp", ImageFormat::WebP)]
    {
        let mut bytes = std::io::Cursor::new(vec![]);
        DynamicImage::new_rgb8(8, 8).write_to(&mut bytes, format).unwrap();
        folder.write(name, &bytes.get_ref()[..14]);
        assert_eq!(problem(&folder, name), format!("photo `{name}` is damaged or cut off"));
    }
}
