//! Models that fail, stall, or return what is no answer.

use crate::{
    eyes::Eyes,
    media::{Clips, sample},
    record::people::{Watched, Who, assert_shown, assert_veiled, follow, refused_man},
    scene::School,
};

use super::{record_spoilt, veiled_whole};

/// A look that fails leaves its frame veiled whole, and no other: whichever model fails, and
/// whether it says so or returns what are no numbers.
#[test]
fn a_look_that_fails_veils_its_frame_whole() {
    let school = School::with_refused_man();
    let mut eyes = Eyes::new();
    let man = refused_man(&mut eyes);
    let clip = sample("obama_speech.mp4");
    let before = Watched::of(&mut eyes, &clip, Who::Described);
    for (fault, most) in
        [("error yunet 60 1 0", 1), ("nan yunet 70 1 0", 1), ("error sface 30 2 0", 2)]
    {
        let recorded = record_spoilt(&school, &clip, fault, &[]);
        assert!(recorded.err.contains("is veiled whole"), "{fault}: {}", recorded.err);
        assert_eq!(recorded.json["frames_out"], 105, "{fault}");
        let whole = veiled_whole(&school, &recorded);
        assert!((1..=most).contains(&whole.len()), "{fault}: {whole:?}");
        assert_eq!(recorded.json["frames_veiled_whole"], whole.len(), "{fault}");
        let after = Watched::of(&mut eyes, &school.open(&recorded.folder), Who::Described);
        assert_veiled(&follow(&before, &after, &man, |face| face.cosine(&man) >= 0.36), 100);
        let picture = before.pictures.size().rect();
        for index in 0..105 {
            let like = before.likeness(&after, index, picture);
            assert_eq!(like < 0.1, whole.contains(&index), "{fault}: frame {index}: {like}");
        }
    }
}

/// At 30 pictures a second most wait for the next look: where that fails they are veiled whole with it.
#[test]
fn a_look_that_fails_veils_what_waits_for_it() {
    let school = School::with_refused_man();
    let mut eyes = Eyes::new();
    let man = refused_man(&mut eyes);
    let clips = Clips::new();
    let args =
        format!("-t 4 -i {} -vf fps=30 -c:v libx264 -bf 0", sample("obama_speech.mp4").display());
    let clip = clips.make("thirty.mp4", &args);
    let before = Watched::of(&mut eyes, &clip, Who::Described);
    let mut waited = 0;
    for look in [60, 61, 62, 63] {
        let recorded = record_spoilt(&school, &clip, &format!("error yunet {look} 1 0"), &[]);
        let whole = veiled_whole(&school, &recorded);
        assert!((1..=3).contains(&whole.len()), "{look}: {whole:?}");
        assert!(whole.windows(2).all(|pair| pair[1] == pair[0] + 1), "{look}: {whole:?}");
        waited = waited.max(whole.len());
        let after = Watched::of(&mut eyes, &school.open(&recorded.folder), Who::Described);
        assert_veiled(&follow(&before, &after, &man, |face| face.cosine(&man) >= 0.36), 100);
    }
    assert!(waited > 1, "none waited");
}

/// A detector that sees nothing for half a second: what was seen before and after says where the
/// refused man is.
#[test]
fn a_detector_that_goes_blind_for_a_while_shows_nobody() {
    let school = School::with_refused_man();
    let mut eyes = Eyes::new();
    let man = refused_man(&mut eyes);
    let clip = sample("obama_speech.mp4");
    let before = Watched::of(&mut eyes, &clip, Who::Described);
    // The second look is a run of the same model; six frames are half a second.
    for first in [40, 75] {
        let recorded = record_spoilt(&school, &clip, &format!("nothing yunet {first} 6 0"), &[]);
        let after = Watched::of(&mut eyes, &school.open(&recorded.folder), Who::Described);
        assert_veiled(&follow(&before, &after, &man, |face| face.cosine(&man) >= 0.36), 100);
    }
}

/// From a file nothing is lost however long a look takes.
#[test]
fn a_file_waits_for_a_look_that_stalls() {
    let school = School::with_refused_man();
    let mut eyes = Eyes::new();
    let man = refused_man(&mut eyes);
    let clip = sample("obama_speech.mp4");
    let before = Watched::of(&mut eyes, &clip, Who::Described);
    let recorded = record_spoilt(&school, &clip, "late yunet 50 1 5000", &[]);
    assert_eq!(
        (&recorded.json["frames_in"], &recorded.json["frames_out"]),
        (&105.into(), &105.into())
    );
    assert_eq!(recorded.json["frames_displaced"], 0);
    let after = Watched::of(&mut eyes, &school.open(&recorded.folder), Who::Described);
    assert_veiled(&follow(&before, &after, &man, |face| face.cosine(&man) >= 0.36), 100);
    let other = follow(&before, &after, &man, |face| face.cosine(&man) < 0.25);
    assert_shown(&other, 0.9);
}
