//! Who is veiled and who is shown, measured in every frame of the opened video.

use std::{fs, path::Path};

use classveil::{frame::Rect, vision::identify::Embedding};

use crate::{
    eyes::{Eyes, Face, Pictures, SAME, SURE, likeness, spread},
    media::{Clips, sample},
    scene::School,
    support::photo,
};

use super::assert_same_times;

/// All pictures of a video and the faces in them.
pub(crate) struct Watched {
    pub(crate) pictures: Pictures,
    pub(crate) faces: Vec<Vec<Face>>,
}

impl Watched {
    /// Faces are described only where a test asks who they are.
    pub(crate) fn of(eyes: &mut Eyes, path: &Path, who: Who) -> Self {
        let pictures = Pictures::of(path);
        let faces = pictures
            .iter()
            .map(|picture| match who {
                Who::Described => eyes.faces(&picture, SURE),
                Who::Anybody => eyes.anybody(&picture, SURE),
            })
            .collect();
        Self { pictures, faces }
    }

    /// Records it and watches the result, which has the same pictures at the same times.
    #[track_caller]
    fn veiled(&self, eyes: &mut Eyes, school: &School, clip: &Path, more: &[&str]) -> Self {
        let recorded = school.record(clip, more);
        let opened = school.open(&recorded.folder);
        assert_same_times(&opened, clip);
        let after = Self::of(eyes, &opened, Who::Described);
        assert_eq!(after.pictures.len(), self.pictures.len());
        assert_eq!(after.pictures.size(), self.pictures.size());
        after
    }

    /// How much of each picture's detail is in the same picture of `other`, within `rect`.
    pub(crate) fn likeness(&self, other: &Self, index: usize, rect: Rect) -> f32 {
        likeness(&self.pictures.at(index), &other.pictures.at(index), rect)
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Who {
    Described,
    Anybody,
}

/// What was found out about one person in all frames.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Frames in which the source shows the face.
    pub(crate) there: u32,
    /// Frames in which the result shows it.
    pub(crate) shown: u32,
    /// The closest that the place of the face comes to the source.
    pub(crate) likest: f32,
    /// The closest that any face of the result comes to the person.
    pub(crate) closest: f32,
}

/// Follows one person: `is` picks the face in the source.
pub(crate) fn follow(
    before: &Watched,
    after: &Watched,
    person: &Embedding,
    is: impl Fn(&Face) -> bool,
) -> Seen {
    let mut seen = Seen::default();
    for (index, (source, opened)) in before.faces.iter().zip(&after.faces).enumerate() {
        for face in opened {
            seen.closest = seen.closest.max(face.cosine(person));
        }
        for face in source.iter().filter(|face| is(face)) {
            seen.there += 1;
            seen.likest = seen.likest.max(before.likeness(after, index, face.rect));
            seen.shown += u32::from(opened.iter().any(|a| a.rect.iou(face.rect) > 0.3));
        }
    }
    seen
}

#[track_caller]
pub(crate) fn assert_veiled(seen: &Seen, frames: u32) {
    assert!(seen.there >= frames, "the source shows less than expected: {seen:?}");
    assert_eq!(seen.shown, 0, "a face is found where the refused one was: {seen:?}");
    assert!(seen.closest < SAME, "a face of the result is that of the refused person: {seen:?}");
    assert!(seen.likest < 0.3, "detail of the refused face is left: {seen:?}");
}

#[track_caller]
pub(crate) fn assert_shown(seen: &Seen, part: f32) {
    let shown = f64::from(seen.shown) / f64::from(seen.there);
    assert!(shown >= f64::from(part), "{shown:.2} of the frames show the face: {seen:?}");
}

pub(crate) fn refused_man(eyes: &mut Eyes) -> Embedding {
    eyes.person(&photo(&sample("obama.jpg")))
}

/// The main job: in no frame is the refused man to be seen; in nearly all frames the other is.
#[test]
fn the_refused_man_is_veiled_and_the_other_is_shown() {
    let school = School::with_refused_man();
    let mut eyes = Eyes::new();
    let man = refused_man(&mut eyes);
    let clip = sample("obama_speech.mp4");
    let before = Watched::of(&mut eyes, &clip, Who::Described);
    for style in ["veil", "fill"] {
        let args = ["--policy", "refused", "--dpia", "D", "--veil", style];
        let after = before.veiled(&mut eyes, &school, &clip, &args);
        assert_veiled(&follow(&before, &after, &man, |face| face.cosine(&man) >= SAME), 100);
        let other = follow(&before, &after, &man, |face| face.cosine(&man) < 0.25);
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
    let before = Watched::of(&mut eyes, &clip, Who::Described);
    let args = ["--policy", "unless-cleared", "--dpia", "D", "--region", "person"];
    let after = before.veiled(&mut eyes, &school, &clip, &args);
    assert_shown(&follow(&before, &after, &man, |face| face.cosine(&man) >= SAME), 0.6);
    let other = follow(&before, &after, &man, |face| face.cosine(&man) < 0.25);
    assert!(other.there > 60 && other.shown == 0 && other.likest < 0.3, "{other:?}");
    // The body below the other man's head is veiled as well.
    for (index, faces) in before.faces.iter().enumerate() {
        for face in faces.iter().filter(|face| face.cosine(&man) < 0.25) {
            let body = Rect { y: face.rect.bottom() + 0.3 * face.rect.h, ..face.rect };
            let like = before.likeness(&after, index, body);
            assert!(like < 0.3, "frame {index}: the body shows: {like}");
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
        assert!(eyes.anybody(&picture, SURE).is_empty());
    }
}

/// Without a single photo: whoever stays in a consenting pupil's seat is shown, everybody else is not,
/// and the zone of who refuses is veiled whatever is in it.
#[test]
fn a_seat_clears_without_a_photo() {
    let school = School::new();
    let seat = "cam1:0.15/0.10 0.37/0.10 0.37/0.50 0.15/0.50";
    let zone = "cam1:0.85/0.10 0.99/0.10 0.99/0.30 0.85/0.30";
    let rows = format!(
        "pupil_id,class,status,since,seat\np-01,5b,consented,2026-09-01,{seat}\n\
         p-02,5b,refused,2026-09-01,{zone}\n"
    );
    fs::write(school.path("list.csv"), rows).unwrap();
    let mut eyes = Eyes::new();
    let man = refused_man(&mut eyes);
    let clip = sample("obama_speech.mp4");
    let before = Watched::of(&mut eyes, &clip, Who::Described);
    let recorded = school.record(&clip, &["--policy", "refused"]);
    assert_eq!(recorded.json["policy"], "unless-cleared");
    assert_eq!(recorded.json["policy_asked"], "refused");
    let after = Watched::of(&mut eyes, &school.open(&recorded.folder), Who::Described);
    assert_veiled(&follow(&before, &after, &man, |face| face.cosine(&man) >= SAME), 90);
    assert_shown(&follow(&before, &after, &man, |face| face.cosine(&man) < 0.25), 0.75);
    for index in 0..before.pictures.len() {
        let zone = Rect::new(0.86 * 320.0, 0.11 * 240.0, 0.12 * 320.0, 0.18 * 240.0);
        let like = before.likeness(&after, index, zone);
        assert!(like < 0.3, "frame {index}: the zone shows: {like}");
    }
    let tracks = school.unseal(&recorded.folder, "cam1/000001.tracks.age");
    let tracks: serde_json::Value = serde_json::from_slice(&tracks).expect("JSON");
    let shown = tracks["tracks"].as_array().expect("tracks").iter();
    let shown: Vec<_> = shown.filter(|track| track["frames_shown"] != 0).collect();
    assert!(!shown.is_empty());
    for track in shown {
        assert_eq!(track["shown_by"]["reason"], "seated", "{track}");
        assert_eq!(track["shown_by"]["person"], "p-01");
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
    let before = Watched::of(&mut eyes, &clip, Who::Anybody);
    let after = before.veiled(&mut eyes, &school, &clip, &["--policy", "everyone"]);
    assert_veiled(&follow(&before, &after, &man, |_| true), 180);
    // What is no face is still there to be seen.
    let whole = before.pictures.size().rect();
    for index in 0..before.pictures.len() {
        let like = before.likeness(&after, index, whole);
        assert!(like > 0.3, "frame {index} is veiled whole: {like}");
    }
    let args = ["--policy", "everyone", "--region", "picture", "--veil", "fill"];
    let after = before.veiled(&mut eyes, &school, &clip, &args);
    for index in 0..before.pictures.len() {
        assert!(before.likeness(&after, index, whole) < 0.1, "frame {index}");
        let (_, deviation) = spread(&after.pictures.at(index), whole);
        assert!(deviation < 2.0, "frame {index}: one colour has no texture: {deviation}");
    }
}

/// Five people in a picture that moves, one of them refused by a tight crop, brighter than the clip.
#[test]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within a photo")]
fn one_of_five_is_veiled() {
    let school = School::new();
    let clips = Clips::new();
    let mut eyes = Eyes::new();
    let still = sample("multi_face.jpg");
    let pan = "zoompan=z=1+0.008*on:x=4*on:y=2*on:d=40:s=1000x666:fps=12";
    let codec = "-c:v libx264 -crf 16 -preset ultrafast -pix_fmt yuv420p";
    let clip =
        clips.make("pan.mp4", &format!("-i {} -vf {pan} -frames:v 40 {codec}", still.display()));
    let before = Watched::of(&mut eyes, &clip, Who::Described);
    let group = photo(&still);
    let people = eyes.people(&group);
    assert_eq!(people.len(), 5);
    for (rect, person) in people.iter().step_by(3) {
        let picture = image::open(&still).unwrap();
        let crop = picture.crop_imm(rect.x as u32, rect.y as u32, rect.w as u32, rect.h as u32);
        crop.brighten(25).save(school.path("refused.png")).unwrap();
        school.list("p-01,5b,refused,2026-09-01,refused.png\n");
        let args = ["--policy", "refused", "--dpia", "D"];
        let after = before.veiled(&mut eyes, &school, &clip, &args);
        let refused = follow(&before, &after, person, |face| face.cosine(person) >= 0.5);
        assert_veiled(&refused, 12);
        let others = follow(&before, &after, person, |face| face.cosine(person) < SAME);
        assert!(others.there > 80, "{others:?}");
        // A clip of three seconds, of which telling people apart takes one; a face that comes close to
        // the photo (0.31 here) stays veiled longer.
        assert_shown(&others, 0.5);
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
    let before = Watched::of(&mut eyes, &clip, Who::Anybody);
    let after = before.veiled(&mut eyes, &school, &clip, &["--policy", "refused", "--dpia", "D"]);
    let seen = follow(&before, &after, &woman, |_| true);
    assert_veiled(&seen, 400);
}
