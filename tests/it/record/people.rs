//! Who is veiled and who is shown, measured in every frame of the opened video.

use std::{fs, path::Path};

use classveil::vision::identify::Embedding;

use crate::{
    eyes::{Eyes, Face, Pictures, SAME, SURE, likeness, spread},
    media::{Clips, sample},
    scene::School,
    support::photo,
};

use super::assert_same_times;

/// A source and what became of it, frame by frame.
struct Pair {
    source: Pictures,
    opened: Pictures,
}

impl Pair {
    #[track_caller]
    fn of(school: &School, clip: &Path, more: &[&str]) -> Self {
        let recorded = school.record(clip, more);
        let opened = school.open(&recorded.folder);
        assert_same_times(&opened, clip);
        let pair = Self { source: Pictures::of(clip), opened: Pictures::of(&opened) };
        assert_eq!(pair.source.len(), pair.opened.len());
        assert_eq!(pair.source.size(), pair.opened.size());
        pair
    }
}

/// What was found out about one person in all frames.
#[derive(Debug, Default)]
struct Seen {
    /// Frames in which the source shows the face.
    there: u32,
    /// Frames in which the result shows it.
    shown: u32,
    /// The closest that the place of the face comes to the source.
    likest: f32,
    /// The closest that any face of the result comes to the person.
    closest: f32,
}

/// Follows one person: `is` picks the face in the source.
fn follow(eyes: &mut Eyes, pair: &Pair, person: &Embedding, is: impl Fn(&Face) -> bool) -> Seen {
    let mut seen = Seen::default();
    for (source, opened) in pair.source.iter().zip(pair.opened.iter()) {
        let after = eyes.faces(&opened, SURE);
        for face in &after {
            seen.closest = seen.closest.max(face.cosine(person));
        }
        for face in eyes.faces(&source, SURE).iter().filter(|face| is(face)) {
            seen.there += 1;
            seen.likest = seen.likest.max(likeness(&source, &opened, face.rect));
            seen.shown += u32::from(after.iter().any(|a| a.rect.iou(face.rect) > 0.3));
        }
    }
    seen
}

#[track_caller]
fn assert_veiled(seen: &Seen, frames: u32) {
    assert!(seen.there >= frames, "the source shows less than expected: {seen:?}");
    assert_eq!(seen.shown, 0, "a face is found where the refused one was: {seen:?}");
    assert!(seen.closest < SAME, "a face of the result is that of the refused person: {seen:?}");
    assert!(seen.likest < 0.3, "detail of the refused face is left: {seen:?}");
}

#[track_caller]
fn assert_shown(seen: &Seen, part: f32) {
    let shown = f64::from(seen.shown) / f64::from(seen.there);
    assert!(shown >= f64::from(part), "{shown:.2} of the frames show the face: {seen:?}");
}

fn refused_man(eyes: &mut Eyes) -> Embedding {
    eyes.person(&photo(&sample("obama.jpg")))
}

/// The main job: in no frame is the refused man to be seen; in nearly all frames the other is.
#[test]
fn the_refused_man_is_veiled_and_the_other_is_shown() {
    let school = School::with_refused_man();
    let mut eyes = Eyes::new();
    let man = refused_man(&mut eyes);
    let clip = sample("obama_speech.mp4");
    for style in ["veil", "fill"] {
        let pair = Pair::of(&school, &clip, &["--dpia", "D", "--veil", style]);
        let refused = follow(&mut eyes, &pair, &man, |face| face.cosine(&man) >= SAME);
        println!("{style}: refused {refused:?}");
        assert_veiled(&refused, 100);
        let other = follow(&mut eyes, &pair, &man, |face| face.cosine(&man) < 0.25);
        println!("{style}: other {other:?}");
        assert!(other.there > 60, "{other:?}");
        assert_shown(&other, 0.9);
    }
}

/// Who is cleared by a photo is shown; nobody else is, known or not.
#[test]
fn unless_cleared_shows_only_the_cleared() {
    let school = School::new();
    school.photo("teacher.jpg", "obama.jpg");
    school.list("t-07,5b,staff,2026-09-01,teacher.jpg\np-02,5b,refused,2026-09-01,\n");
    let mut eyes = Eyes::new();
    let man = refused_man(&mut eyes);
    let clip = sample("obama_speech.mp4");
    let args = ["--policy", "unless-cleared", "--dpia", "D", "--region", "person"];
    let pair = Pair::of(&school, &clip, &args);
    let teacher = follow(&mut eyes, &pair, &man, |face| face.cosine(&man) >= SAME);
    assert_shown(&teacher, 0.6);
    let other = follow(&mut eyes, &pair, &man, |face| face.cosine(&man) < 0.25);
    assert!(other.there > 60 && other.shown == 0 && other.likest < 0.3, "{other:?}");
    // The body below the other man's head is veiled as well, wherever the teacher is not.
    for (source, opened) in pair.source.iter().zip(pair.opened.iter()) {
        for face in eyes.faces(&source, SURE).iter().filter(|f| f.cosine(&man) < 0.25) {
            let mut body = face.rect;
            body.y = face.rect.bottom() + 0.3 * face.rect.h;
            let like = likeness(&source, &opened, body);
            assert!(like < 0.3, "the body shows: {like}");
        }
    }
}

/// A refused pupil without a usable photo cannot be told apart from anybody.
#[test]
fn refused_without_a_photo_acts_as_unless_cleared() {
    let school = School::new();
    school.list("p-01,5b,refused,2026-09-01,\n");
    let mut eyes = Eyes::new();
    let recorded = school.record(&sample("obama_speech.mp4"), &["--policy", "refused"]);
    assert!(recorded.err.contains("acts as unless-cleared"), "{}", recorded.err);
    assert_eq!(recorded.json["policy"], "unless-cleared");
    assert_eq!(recorded.manifest()["policy"], "unless-cleared");
    let opened = Pictures::of(&school.open(&recorded.folder));
    for picture in opened.iter() {
        assert!(eyes.found(&picture, SURE).is_empty());
    }
}

/// Under `everyone` no photo is compared, so none needs an impact assessment; `picture` leaves
/// nothing to see at all.
#[test]
fn everyone_is_veiled_without_comparing_anybody() {
    let school = School::with_refused_man();
    let mut eyes = Eyes::new();
    let man = refused_man(&mut eyes);
    let clip = sample("obama_speech.mp4");
    let pair = Pair::of(&school, &clip, &["--policy", "everyone"]);
    let anybody = follow(&mut eyes, &pair, &man, |_| true);
    assert_veiled(&anybody, 180);
    // What is no face is still there to be seen.
    let whole = pair.source.size().rect();
    let like: Vec<_> =
        pair.source.iter().zip(pair.opened.iter()).map(|(a, b)| likeness(&a, &b, whole)).collect();
    assert!(like.iter().all(|&like| like > 0.3), "{like:.2?}");

    let args = ["--policy", "everyone", "--region", "picture", "--veil", "fill"];
    let pair = Pair::of(&school, &clip, &args);
    for (source, opened) in pair.source.iter().zip(pair.opened.iter()) {
        assert!(likeness(&source, &opened, whole) < 0.1);
        let (_, deviation) = spread(&opened, whole);
        assert!(deviation < 2.0, "one colour has no texture: {deviation}");
    }
}

/// Five people in a picture that moves, one of them refused by a tight crop of another exposure.
#[test]
fn one_of_five_is_veiled() {
    let school = School::new();
    let clips = Clips::new();
    let mut eyes = Eyes::new();
    let group = photo(&sample("multi_face.jpg"));
    let rects = eyes.rects(&group);
    assert_eq!(rects.len(), 5);
    for (index, rect) in rects.iter().enumerate().step_by(3) {
        let (x, y, w, h) = (rect.x as u32, rect.y as u32, rect.w as u32, rect.h as u32);
        let crop = school.path("refused.png");
        let picture = image::open(sample("multi_face.jpg")).unwrap();
        picture.crop_imm(x, y, w, h).brighten(25).save(&crop).unwrap();
        school.list("p-01,5b,refused,2026-09-01,refused.png\n");
        let still = sample("multi_face.jpg");
        let filter = "zoompan=z=1+0.004*on:x=2*on:y=on:d=75:s=1000x666:fps=25";
        let args = format!(
            "-i {} -vf {filter} -frames:v 75 -c:v libx264 -crf 16 -preset ultrafast -pix_fmt yuv420p",
            still.display()
        );
        let clip = clips.make("pan.mp4", &args);
        let pair = Pair::of(&school, &clip, &["--policy", "refused", "--dpia", "D"]);
        let person = eyes.nth(&group, index);
        let refused = follow(&mut eyes, &pair, &person, |face| face.cosine(&person) >= 0.5);
        println!("{index}: {refused:?}");
        assert_veiled(&refused, 20);
        let others = follow(&mut eyes, &pair, &person, |face| face.cosine(&person) < SAME);
        println!("{index}: others {others:?}");
        assert_shown(&others, 0.5);
        fs::remove_file(crop).unwrap();
    }
}

/// A woman who turns, lowers her head and covers her face, refused by a frame of the clip.
#[test]
fn a_woman_who_turns_away_stays_veiled() {
    let school = School::new();
    let clips = Clips::new();
    let clip = sample("WolfgangLanger_Pexels.mp4");
    let frame = clips.make("photo.png", &format!("-ss 1 -i {} -frames:v 1", clip.display()));
    fs::copy(&frame, school.path("refused.png")).unwrap();
    school.list("p-01,5b,refused,2026-09-01,refused.png\n");
    let mut eyes = Eyes::new();
    let woman = eyes.person(&photo(&frame));
    let pair = Pair::of(&school, &clip, &["--policy", "refused", "--dpia", "D"]);
    let seen = follow(&mut eyes, &pair, &woman, |_| true);
    println!("{seen:?}");
    assert_veiled(&seen, 300);
}
